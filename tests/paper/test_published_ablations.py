"""What the first document prints in tables 4 and 16 to 18, and the facts that its other tables are held against."""

from pathlib import Path

import pandas as pd
import pytest

from variad.core.tables import read_table

FOLDER = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def ablations() -> pd.DataFrame:
    return read_table(FOLDER / "ablations.csv", "published_ablations")


def values(ablations: pd.DataFrame, table: int, what: str) -> dict[str, float]:
    rows = ablations[(ablations["table"] == table) & (ablations["what"] == what)]
    return {str(row["component"]): float(row["value"]) for row in rows.to_dict("records")}


def test_every_value_is_there_once(ablations):
    assert not ablations.duplicated(["table", "what", "component", "setting", "metric"]).any()
    assert ablations["table"].value_counts().to_dict() == {4: 10, 16: 19, 17: 10, 18: 12}


def test_prompts_of_table_4(ablations):
    prompts = ablations[ablations["table"] == 4].set_index(["component", "setting"])["value"]
    assert prompts["hazelnut", "best"] == "a {hazelnut} with {cobnut}"
    assert prompts["metal_nut", "worst"] == "a {metanut} with {predegenerate}"
    assert set(prompts.index.get_level_values("component")) == {
        "hazelnut",
        "metal_nut",
        "zipper",
        "capsule",
        "toothbrush",
    }


def test_variance_forms_of_table_16(ablations):
    rows = ablations[ablations["table"] == 16]
    table = rows.assign(value=rows["value"].astype(float)).pivot(index="component", columns="metric", values="value")
    names = ["average_auroc_percent", "ssim", "psnr_db", "vif", "lpips"]
    assert table.loc["mu", names].tolist() == [87.8, 0.88, 26.60, 0.09, 664.31]
    assert table.loc["mu_sigma", names].tolist() == [88.4, 0.72, 22.23, 0.09, 784.34]
    assert table.loc["mu_sigma_epsilon", names].tolist() == [88.6, 0.88, 26.83, 0.11, 726.94]
    assert pd.isna(table.loc["original", "psnr_db"])


def test_encoders_and_strategies_of_tables_17_and_18(ablations):
    leather = values(ablations, 17, "leather_texture")
    assert leather["clip_rn50x64"] - leather["baseline"] == pytest.approx(10.3)
    assert values(ablations, 17, "pill_object")["strategies_2"] == 58.8
    toothbrush, grid = (values(ablations, 18, f"{name}_patchcore_one_shot") for name in ("toothbrush", "grid"))
    gains = [
        ("strategies_1", 2.2, -6.8),
        ("autoaugment", -0.3, -0.8),
        ("randaugment", 2.0, 1.7),
        ("generated", 4.2, 3.6),
    ]
    for component, on_toothbrush, on_grid in gains:
        assert toothbrush[component] - toothbrush["baseline"] == pytest.approx(on_toothbrush)
        assert grid[component] - grid["baseline"] == pytest.approx(on_grid)


def test_baselines_of_table_17_are_those_of_two_other_detectors(ablations):
    auroc = read_table(FOLDER / "auroc.csv", "published_auroc")
    one_shot = auroc[auroc["scenario"] == "one_shot"].set_index(["detector", "category", "source"])["mean_percent"]
    for what, key in (("leather_texture", ("efficient_ad", "leather")), ("pill_object", ("cflow", "pill"))):
        found = values(ablations, 17, what)
        assert found["baseline"] == one_shot[(*key, "original")]
        assert found["clip_vit_b_16"] == one_shot[(*key, "generated")]


def test_gains_that_table_5_prints():
    gains = read_table(FOLDER / "table_5_gains.csv", "published_gains").set_index(["detector", "scenario", "metric"])
    gain = gains["gain_percent"]
    assert len(gain) == 5 * 3 * 2 and not gain.index.duplicated().any()
    assert gain["patchcore", "one_shot", "image_auroc"] == 7.0
    assert gain["cflow", "full_shot", "pixel_auroc"] == -0.2
    assert gain["reverse_distillation", "few_shot", "image_auroc"] == 33.7
    assert gain["average", "one_shot", "image_auroc"] == 15.7


def test_single_run_averages_its_own_categories():
    table = read_table(FOLDER / "anomalib_single_run.csv", "single_run")
    image = table[table["metric"] == "image_auroc"].set_index("category")["mean_percent"]
    assert len(image) == 16
    assert image["average"] == pytest.approx(image.drop("average").mean(), abs=0.05)
