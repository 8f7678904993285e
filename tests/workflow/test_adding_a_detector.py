"""The worked example of docs/adding_a_detector.md, run as it stands there."""

import pytest
import yaml

from variad.core.tables import read_table

from .documents import blocks
from .running import TINY, planned, succeed

pytestmark = pytest.mark.slow


CODE = blocks("adding_a_detector", "python")[0]


@pytest.fixture
def study(tmp_path):
    """The tiny study with the document's detectors, on one category and two training sets that need no generator."""
    (tmp_path / "same_place.py").write_text(CODE)
    config = yaml.safe_load(TINY.read_text()) | yaml.safe_load(blocks("adding_a_detector", "yaml")[0])
    del config["datasets"]["textures"]
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 2}}
    config["predict"] = {"scenario": "one_shot", "training_set": "duplicated", "detector": "same_place"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_a_detector_of_a_users_own(study, tmp_path):
    succeed(tmp_path, "--cores", "1", "results/tables/summary.csv", config=study)
    table = read_table(tmp_path / "results/tables/summary.csv", "summary").query("metric == 'image_auroc'")
    rows = table.set_index(["detector", "training_set"])
    assert sorted(set(table["detector"])) == ["patchcore", "same_place"]
    # repeating images changes no minimum
    assert rows.loc[("same_place", "duplicated"), "gain"] == 0

    (tmp_path / "same_place.py").write_text(CODE.replace(".min(axis=0)", ".mean(axis=0)"))
    jobs = planned(tmp_path, "results/tables/summary.csv", config=study)
    assert jobs["train_detector"] == jobs["score_test_set"] == 2
    assert "extract_features" not in jobs
