"""Tables 4 and 16 to 18 and figures 11 to 18 of a tiny study in MVTec AD's layout, made by one command."""

import json

import numpy as np
import pytest
from PIL import Image

from variad.core.tables import read_table

from ..layouts import Size, mvtec_ad
from .running import ROOT, planned, snakemake, succeed
from .test_dag import in_place

pytestmark = pytest.mark.slow
CONFIG = ROOT / "tests/workflow/tiny_ablations.yaml"
TABLES = ("04", "16", "17", "18")
DRAWN = ("12", "15", "17", "18")  # from numbers; the others show images
SHOWN = ("11", "13", "14", "16")
CELL = "results/mvtec_ad/toothbrush/one_shot"


def blurred_by_noise(root):
    """Noise over every image of a tree, so that no detector is right every time and training sets differ."""
    rng = np.random.default_rng(0)
    for path in sorted(root.rglob("*.png")):
        if "ground_truth" not in path.parts:
            pixels = np.asarray(Image.open(path))
            noise = rng.integers(0, 256, pixels.shape)
            Image.fromarray((0.15 * pixels + 0.85 * noise).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = in_place(tmp_path_factory.mktemp("ablations"))
    blurred_by_noise(mvtec_ad(folder / "mvtec_ad", ("toothbrush", "grid"), Size(train=4, good=3, defective=2)))
    succeed(folder, "--cores", "2", "paper", config=CONFIG)
    return folder


def percent(folder, training_set, category="toothbrush"):
    """Image AUROC of each run of a cell."""
    path = folder / f"results/mvtec_ad/{category}/one_shot/{training_set}/patchcore/metrics.csv"
    rows = read_table(path, "metrics").query("metric == 'image_auroc'").sort_values("run")
    return 100 * rows["value"].to_numpy()


def table(folder, name, schema):
    return read_table(folder / f"results/tables/paper/{name}.csv", schema)


def test_every_table_and_figure_is_there(finished):
    tables, figures = finished / "results/tables/paper", finished / "results/figures/paper"
    for number in TABLES:
        texts = [(tables / f"table_{number}.{form}").read_text("utf-8") for form in ("csv", "md", "tex")]
        assert all(len(text.splitlines()) > 2 for text in texts)
        assert "Tiny study for tests" in texts[1] and r"\bottomrule" in texts[2]
    for number in (*DRAWN, *SHOWN):
        assert len((tables / f"figure_{number}.csv").read_text("utf-8").splitlines()) > 1
        with Image.open(figures / f"figure_{number}.png") as picture:
            assert picture.width > 400 and len(set(picture.convert("L").tobytes())) > 10
    assert all(f"Figure {number}" in (figures / f"figure_{number}.svg").read_text("utf-8") for number in DRAWN)


def test_table_4_is_the_choice_of_prompts(finished):
    choice = json.loads((finished / CELL / "prompts/conse.wordnet_related.json").read_text("utf-8"))
    rows = table(finished, "table_04", "ablation_prompts").query("category == 'toothbrush'")
    expected = [run[which]["prompt"] for run in choice["runs"] for which in ("best", "worst")]
    assert rows["prompt"].tolist() == expected
    assert (
        rows["published_prompt"].tolist() == ["a {toothbrush} with {parazoan}", "a {toothbrush} with {chaetopod}"] * 2
    )


def test_table_16_is_made_of_image_quality_and_metrics(finished):
    rows = table(finished, "table_16", "ablation_table").set_index(["row", "metric"])
    quality = read_table(finished / CELL / "generated_mu_sigma/image_quality.csv", "image_quality")
    runs = quality.groupby("run")["psnr"].mean()
    found = rows.loc["mu_sigma", "psnr"]
    assert found["ours_mean"] == pytest.approx(runs.mean(), abs=1e-4)
    assert found["ours_std"] == pytest.approx(runs.std(), abs=1e-4)
    assert (found["published_mean"], rows.loc["mu_sigma", "image_auroc"]["published_mean"]) == (22.23, 88.4)
    gain = percent(finished, "generated_mu").mean() - percent(finished, "original").mean()
    assert rows.loc["mu", "image_auroc"]["ours_gain"] == pytest.approx(gain, abs=1e-4)
    # flips and turns were left out, so that mu and mu + sigma * epsilon differ from the shot by the generator alone
    assert not rows["footnote"].str.contains("flipped").any()


def test_tables_17_and_18_are_means_and_paired_gains(finished):
    grid = table(finished, "table_17", "ablation_table").set_index("row").loc["clip_vit_b_16"]
    assert grid["ours_mean"] == pytest.approx(percent(finished, "generated", "grid").mean(), abs=1e-4)
    assert np.isnan(grid["published_mean"])  # the document prints leather and pill
    rows = table(finished, "table_18", "ablation_table").set_index("training_set")
    differences = percent(finished, "duplicated") - percent(finished, "original")
    found = rows.loc["duplicated"]
    assert found["ours_gain"] == pytest.approx(differences.mean(), abs=1e-4)
    assert found["ours_gain_std"] == pytest.approx(differences.std(ddof=1), abs=1e-4)
    assert rows["published_mean"].tolist() == [74.7, 76.9, 76.9, 78.9]


def test_figure_12_has_every_image_once(finished):
    kinds = table(finished, "figure_12", "tsne_points")["kind"].value_counts().to_dict()
    assert kinds == {"train_normal": 4, "anomalous": 4, "test_normal": 3, "generated": 2}


@pytest.mark.parametrize(("number", "categories"), [(11, ["grid"]), (13, ["toothbrush", "grid"]), (14, ["toothbrush"])])
def test_figures_of_maps_show_the_median_anomaly(finished, number, categories):
    rows = table(finished, f"figure_{number}", "map_panels")
    assert rows["category"].tolist() == [name for name in categories for _ in range(2)]
    assert rows["training_set"].tolist() == ["original", "generated"] * len(categories)
    for category, pair in rows.groupby("category"):
        folder = finished / f"results/mvtec_ad/{category}/one_shot"
        scores = {name: read_table(folder / name / "patchcore/scores.csv", "scores") for name in pair["training_set"]}
        first = {name: part.query("run == 0").set_index("image_id") for name, part in scores.items()}
        anomalous = first["original"].query("label == 1")["score"].sort_values()
        assert pair["image_id"].tolist() == [anomalous.index[1]] * 2  # the lower of the two in the middle of four
        assert pair["score"].tolist() == [part.loc[anomalous.index[1], "score"] for part in first.values()]


def test_figures_15_and_18_have_every_run(finished):
    iterations = table(finished, "figure_15", "ablation_curve").query("series == 'generated'")
    assert iterations["x"].tolist() == [0, 0, 2, 2] and set(iterations["run"]) == {0, 1}
    assert iterations["value"].tolist()[2:] == pytest.approx(percent(finished, "generated").tolist(), abs=1e-4)
    counts = table(finished, "figure_18", "ablation_curve")
    points = counts[["series", "x"]].drop_duplicates().values.tolist()
    assert points == [["original", 0], ["generated", 2], ["duplicated", 1], ["real", 2]]
    assert counts.query("series == 'real'")["value"].tolist() == pytest.approx(
        percent(finished, "real").tolist(), abs=1e-4
    )


def test_figure_16_shows_the_first_images_of_each_form(finished):
    rows = table(finished, "figure_16", "form_panels")
    shots = read_table(finished / "results/mvtec_ad/toothbrush/shots.csv", "shots")
    shot = shots.query("scenario == 'one_shot' and run == 0")["image_id"].item()
    assert rows[["form", "index", "parent"]].values.tolist() == [
        [form, 0, shot] for form in ("mu", "mu_sigma", "mu_sigma_epsilon")
    ]


def test_figure_17_ranks_the_gains(finished):
    rows = table(finished, "figure_17", "lowest_gains").set_index("category")
    gains = {
        name: percent(finished, "generated", name).mean() - percent(finished, "original", name).mean()
        for name in ("toothbrush", "grid")
    }
    assert rows["gain"].to_dict() == pytest.approx(gains, abs=1e-4)
    assert rows["rank"].tolist() == [1, 2] and rows["gain"].is_monotonic_increasing
    assert rows["published_gain"].to_dict() == pytest.approx({"toothbrush": 4.0, "grid": 17.7}, abs=1e-4)


def test_what_is_deleted_is_made_again_and_no_more(finished):
    def missing():
        return {rule: count for rule, count in planned(finished, "paper", config=CONFIG).items() if rule != "paper"}

    assert missing() == {}
    for name, jobs in {
        "results/tables/paper/figure_18.csv": {"plot_counts": 1},
        "results/figures/paper/figure_12.png": {"plot_tsne": 1},
        f"{CELL}/real/patchcore/metrics.csv": {"score_test_set": 1, "plot_counts": 1},
    }.items():
        path = finished / name
        hidden = path.rename(path.with_suffix(".hidden"))
        assert missing() == jobs
        hidden.rename(path)
        assert missing() == {}


def test_what_no_entry_asks_for_ends_in_one_sentence(tmp_path):
    done = snakemake(tmp_path, "--dry-run", "results/tables/paper/table_04.csv")
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback (most recent call last)" not in said
    assert "config key ablations: expected an entry 'prompts', found none." in said
