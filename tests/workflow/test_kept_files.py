"""What a study leaves on disk may be less, and its tables are the same."""

import pytest
import yaml

from .running import TINY, planned, succeed

pytestmark = pytest.mark.slow
TABLES = ("results/tables/summary.csv", "results/tables/image_quality.csv")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The tiny study with all that a study may keep, and one that keeps as little as it may."""
    folders = {}
    for name, kept, side in (("more", True, None), ("less", False, 128)):
        study, folder = yaml.safe_load(TINY.read_text()), tmp_path_factory.mktemp(name)
        study["extractors"] = {
            "lite0": {"backbone": "efficientnet_lite0", "layers": ["stage3", "stage5"], "kept": kept}
        }
        study["detectors"] = {"patchcore": {"method": "patchcore", "extractor": "lite0"}}
        study["datasets"] = {"textures": study["datasets"]["textures"]}
        study["datasets"]["textures"]["settings"] = {"tile_size": 256}
        study["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "generated"], "keep_map_side": side}
        study["predict"] = {"scenario": "one_shot", "training_set": "generated", "detector": "patchcore"}
        (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        succeed(folder, "--cores", "2", "all", *TABLES, config=folder / "study.yaml")
        folders[name] = folder
    return folders


def test_tables_are_the_same(studies):
    for table in (*TABLES, "results/textures/brick/one_shot/generated/patchcore/scores.csv"):
        more, less = ((folder / table).read_bytes() for folder in studies.values())
        assert more == less and more


def test_what_is_not_kept_is_not_there(studies):
    def bytes_of(folder, pattern):
        return sum(path.stat().st_size for path in (folder / "results").glob(pattern))

    more, less = studies.values()
    for folder in studies.values():
        assert not list((folder / "results").glob("*/*/*_shot/*/features"))  # of added images, by nobody
    assert bytes_of(more, "*/*/train/features/*.h5") > 10**5
    # real images' features are asked for by the table of image quality alone
    assert {path.parent.parent.name for path in (less / "results").glob("*/*/*/features/*.h5")} <= {"train"}
    maps = "*/*/*/*/*/maps/**/*.tiff"
    assert 0 < bytes_of(less, maps) < bytes_of(more, maps)
    assert planned(less, "all", *TABLES, config=less / "study.yaml") == {}
