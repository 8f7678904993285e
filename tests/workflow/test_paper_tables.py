"""Tables of the first document from a tiny study of MVTec AD and MVTec LOCO AD in their real layouts."""

import h5py
import pytest
import tifffile
import yaml

from tests.evaluation.test_pixel import slow_aupro
from tests.evaluation.test_spro import slow_au_spro
from tests.layouts import Size, mvtec_ad, mvtec_loco
from variad.core.tables import read_table
from variad.evaluation.pixel import FPR_LIMITS

from .running import TINY, planned, succeed

pytestmark = pytest.mark.slow
SIZE = Size(train=3, good=3, defective=3, height=24, width=40)
TARGETS = ["results/tables/paper/table_15.csv", "results/tables/paper/loco.csv"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a finished study; `generated` is a cheap recipe here, since only its name matters to the tables."""
    folder = tmp_path_factory.mktemp("paper")
    config = yaml.safe_load(TINY.read_text())
    config["datasets"] = {
        "mvtec_ad": {
            "adapter": "mvtec_ad",
            "path": str(mvtec_ad(folder / "mvtec_ad", ("bottle",), SIZE)),
            "categories": {"bottle": {"class_name": "bottle", "group": "object"}},
        },
        "mvtec_loco": {
            "adapter": "mvtec_loco",
            "path": str(mvtec_loco(folder / "mvtec_loco", ("breakfast_box",), SIZE)),
            "categories": {"breakfast_box": {"class_name": "breakfast box"}},
        },
    }
    config["training_sets"] = {
        "original": {"method": "none"},
        "generated": {"method": "augment", "strategy": "sharpen", "images_per_shot": {"one_shot": 2}},
    }
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "generated"]}
    config["predict"] |= {"scenario": "one_shot", "training_set": "generated"}
    path = folder / "paper.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    succeed(folder, "--cores", "1", *TARGETS, config=path)
    return folder


def test_a_category_of_the_study_stands_beside_the_published_value(study):
    cells = read_table(study / TARGETS[0], "published_comparison").set_index(["scenario", "source", "category"])
    summary = read_table(study / "results/tables/summary.csv", "summary")
    ours = summary[(summary["dataset"] == "mvtec_loco") & (summary["metric"] == "image_auroc")]
    means = ours.set_index("training_set")["mean"]
    for source, published in (("original", 59.4), ("generated", 74.9)):
        cell = cells.loc["one_shot", source, "breakfast_box"]
        assert (cell["ours_mean"], cell["published_mean"]) == (means[source], published)
        assert cell["difference"] == pytest.approx(means[source] - published, abs=1e-4)
    gain = cells.loc["one_shot", "gain", "breakfast_box"]
    assert gain["ours_mean"] == pytest.approx(means["generated"] - means["original"], abs=2e-4)
    assert gain["published_mean"] == 15.5
    assert cells["ours_mean"].notna().sum() == 3
    assert cells["published_mean"].notna().all()


def test_types_of_anomaly_and_overlap_equal_those_of_the_kept_maps(study):
    table = read_table(study / TARGETS[1], "overlap_summary")
    assert set(table["dataset"]) == {"mvtec_loco"}
    assert len(table) == 2 * (4 + 3 * len(FPR_LIMITS))
    assert set(table["runs"]) == {2}
    home = study / "results/mvtec_loco/breakfast_box"
    metrics = read_table(home / "one_shot/original/patchcore/metrics.csv", "metrics")
    by_name = metrics[metrics["run"] == 0].set_index("metric")["value"]
    types = [by_name[f"image_auroc_{name}"] for name in ("logical", "structural")]
    assert by_name["image_auroc_type_mean"] == pytest.approx(sum(types) / 2)
    for kind in ("logical", "structural"):
        maps, masks, areas = kept_maps(home, kind)
        for limit in (0.05, 0.3):
            expected = slow_au_spro(maps, masks, areas, limit)
            assert by_name[f"au_spro_{limit}_{kind}"] == pytest.approx(expected, abs=1e-9)
    chosen = table[
        (table["training_set"] == "original") & (table["measure"] == "au_spro") & (table["fpr_limit"] == 0.05)
    ]
    both = metrics[metrics["metric"] == "au_spro_0.05"]["value"].mean()
    assert chosen.set_index("anomalies").loc["mean_of_types", "mean"] == pytest.approx(100 * both, abs=1e-4)


def test_per_region_overlap_of_mvtec_ad_equals_that_of_the_kept_maps(study):
    table = read_table(study / "results/tables/paper/aupro.csv", "overlap_summary")
    assert set(table["dataset"]) == {"mvtec_ad", "mvtec_loco"}
    home = study / "results/mvtec_ad/bottle"
    metrics = read_table(home / "one_shot/original/patchcore/metrics.csv", "metrics")
    maps, masks = [], []
    with h5py.File(home / "test/images.h5") as file:
        for path in sorted((home / "one_shot/original/patchcore/maps/run_0/bottle/test").rglob("*.tiff")):
            maps.append(tifffile.imread(path))
            name = f"masks/test/{path.parent.name}/{path.stem}"
            masks.append(file[name][:] > 0 if name in file else maps[-1] > float("inf"))
    value = metrics[(metrics["run"] == 0) & (metrics["metric"] == "aupro")]["value"].item()
    assert value == pytest.approx(slow_aupro(maps, masks, 0.3), abs=1e-9)
    ours = table[(table["dataset"] == "mvtec_ad") & (table["training_set"] == "original")]
    mean = metrics[metrics["metric"] == "aupro"]["value"].mean()
    assert ours["mean"].item() == pytest.approx(100 * mean, abs=1e-4)
    assert ours["fpr_limit"].item() == 0.3


def test_a_deleted_table_is_made_again_and_nothing_else(study):
    table = "results/tables/paper/table_05.tex"
    (study / table).unlink()
    assert planned(study, *TARGETS, table, config=study / "paper.yaml") == {"compare_published": 1}


def kept_maps(home, kind):
    """Maps, masks of the single defects and saturation areas of good images and one type of anomaly, run 0."""
    maps, masks, areas = [], [], []
    folder = home / "one_shot/original/patchcore/maps/run_0/breakfast_box/test"
    with h5py.File(home / "test/images.h5") as file:
        for path in [*sorted((folder / "good").iterdir()), *sorted((folder / f"{kind}_anomalies").iterdir())]:
            maps.append(tifffile.imread(path))
            name = f"defects/test/{path.parent.name}/{path.stem}"
            masks.append(list(file[name][:] > 0) if name in file else [])
            areas.append([int(area) for area in file[name].attrs["saturation_area"]] if name in file else [])
    return maps, masks, areas
