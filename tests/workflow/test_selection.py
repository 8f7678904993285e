"""Target-sized runs of selection: class tasks in the layouts of the published archives, without a diffusion model."""

import pytest
import yaml

from tests import layouts
from variad.core.tables import read_table

from .running import planned, succeed

pytestmark = pytest.mark.slow
SIZE = layouts.Size(train=9, good=3, height=64, width=64)
CUB, FLOWER, WNID = layouts.CUB_CLASSES[1], "002", layouts.TINY_IMAGENET_IDS[0]
DETECTORS = 2 * 2  # layers times scores
TARGETS = ("results/tables/selection.csv", "results/tables/templates.csv")


@pytest.fixture
def study(tmp_path):
    layouts.cub(tmp_path / "data/cub", SIZE)
    layouts.flowers_102(tmp_path / "data/flowers", size=SIZE)
    layouts.tiny_imagenet(tmp_path / "data/tiny", SIZE)
    names = {"cub": ("cub", CUB), "flowers_102": ("flowers", FLOWER), "tiny_imagenet": ("tiny", WNID)}
    config = {
        "image_size": 64,
        "datasets": {
            adapter: {"adapter": adapter, "path": f"data/{folder}", "categories": {category: {"class_name": "thing"}}}
            for adapter, (folder, category) in names.items()
        },
        "anomaly_sources": {
            "cut_paste": {"method": "cut_paste", "count": 6},
            "blurred": {"method": "blurred", "resolution": 16, "count": 2},
        },
        "exposure": {},
        "recipes": {},
        "candidates": {
            "small": {
                "method": "neighbours",
                "backbone": "efficientnet_lite0",
                "layers": ["stage2", "stage3"],
                "resolutions": [64],
                "scores": ["pooled_1", "patch_maximum"],
            },
            "pairs": {"method": "templates", "encoder": "conse", "templates": "cub"},
        },
        "selection": {
            "datasets": dict.fromkeys(names),
            "runs": 2,
            "bank": 2,
            "seeds": 2,
            "validation": 2,
            "sources": ["cut_paste", "blurred"],
            "candidates": ["small"],
            "templates": ["pairs"],
            "default": "small/stage2/64/pooled_1",
            "overrides": {"tiny_imagenet": {"templates": [], "sources": ["cut_paste"]}},
        },
    }
    path = tmp_path / "selection.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_class_tasks_from_archives_to_tables(study, tmp_path):
    jobs = planned(tmp_path, *TARGETS, config=study)
    assert jobs["sample_support"] == jobs["select_candidates"] == jobs["judge_selection"] == 3
    assert jobs["score_synthetic"] == jobs["score_real"] == 5
    succeed(tmp_path, "--cores", "2", *TARGETS, config=study)

    summary = read_table(tmp_path / TARGETS[0], "selection_summary")
    assert set(summary["benchmark"]) == {"one_vs_rest", "one_vs_one", "one_vs_closest"}
    of_cub = summary[summary["dataset"] == "cub"].set_index(["benchmark", "source"])
    assert list(of_cub.loc["one_vs_rest"].index) == ["cut_paste", "blurred", "random", "largest_backbone", "default"]
    assert (summary["candidates"] == DETECTORS).all() and (summary["runs"] == 2).all()
    random = summary[summary["source"] == "random"]
    assert random["selected"].to_numpy() == pytest.approx(random["average"].to_numpy(), abs=1e-3)
    assert (summary["regret"] - (summary["oracle"] - summary["selected"])).abs().max() < 1e-3
    closest, mean = (of_cub.xs(name, level=0)["average"].iloc[0] for name in ("one_vs_closest", "one_vs_one"))
    assert closest <= mean
    templates = read_table(tmp_path / TARGETS[1], "selection_summary")
    assert set(templates["dataset"]) == {"cub", "flowers_102"} and (templates["candidates"] == 10).all()

    points = read_table(tmp_path / "results/tables/selection_points.csv", "selection_points")
    one = points[(points["dataset"] == "tiny_imagenet") & (points["benchmark"] == "one_vs_one")]
    assert len(one) == 2 * DETECTORS and set(one["source"]) == {"cut_paste"}

    here = tmp_path / "results/cub" / CUB
    choices = read_table(here / "selection/choices.csv", "choices")
    aurocs = read_table(here / "selection/synthetic_auroc.csv", "synthetic_auroc")
    for row in choices[choices["source"] == "cut_paste"].itertuples():
        rivals = aurocs[(aurocs["run"] == row.run) & (aurocs["source"] == "cut_paste") & (aurocs["kind"] == row.kind)]
        assert row.synthetic_auroc == rivals["synthetic_auroc"].max()
    assert planned(tmp_path, *TARGETS, config=study) == {}


def inputs_by_rule(said):
    """Inputs of every rule, all jobs together, as a dry run prints them."""
    found, rule = {}, ""
    for line in map(str.strip, said.splitlines()):
        if line.startswith(("rule ", "localrule ")):
            rule = line.split()[-1].rstrip(":")
        elif line.startswith("input:"):
            found.setdefault(rule, set()).update(line.removeprefix("input: ").split(", "))
    return found


def test_no_input_on_the_way_to_a_choice_holds_a_real_label(study, tmp_path):
    here = f"results/cub/{CUB}"
    inputs = inputs_by_rule(succeed(tmp_path, "--dry-run", f"{here}/selection/choices.csv", config=study))
    # packed training images, names of the support set, and what is made of them; sample_support alone reads a manifest
    allowed = {f"{here}/train/images.h5", f"{here}/support.csv"}
    allowed |= {
        f"{here}/anomalies/{source}/{name}"
        for source in ("cut_paste", "blurred")
        for name in ("anomalies.h5", "manifest.csv")
    }
    allowed |= {
        f"{here}/selection/{name}/{table}.csv" for name in ("small", "pairs") for table in ("synthetic", "candidates")
    }
    for rule in ("make_anomalies", "score_synthetic", "select_candidates"):
        data = {name for name in inputs[rule] if name.startswith("results/") and "conse" not in name}
        assert data and data <= allowed, rule
    assert f"{here}/train/manifest.csv" in inputs["sample_support"]
    assert not {"score_real", "judge_selection"} & set(inputs)
