"""Nothing that a detector was trained on is in its synthetic test."""

import h5py
import numpy as np
import pytest

from variad.anomalies.anomaly_file import Anomaly, NamedImages, write_anomalies
from variad.core.errors import UserError
from variad.datasets.sampling import Support
from variad.selection.recipe_scoring import spread_evenly, synthetic_tests
from variad.selection.synthetic import SourceFiles
from variad.selection.trials import ImagePool

NAMES = [f"train/good/{index}" for index in range(8)]
SUPPORT = Support(bank=tuple(NAMES[:2]), seeds=tuple(NAMES[2:4]), validation=tuple(NAMES[4:]))


def flat(level: int) -> np.ndarray:
    return np.full((4, 4, 3), level, np.uint8)


@pytest.fixture
def files(tmp_path):
    images = tmp_path / "images.h5"
    with h5py.File(images, "w") as file:
        file["images"] = np.stack([flat(index) for index in range(8)])
        file.create_dataset("image_id", data=NAMES, dtype=h5py.string_dtype())
    anomalies = [
        Anomaly(flat(100), NAMES[2]),
        Anomaly(flat(101), NAMES[3], NAMES[2]),
        Anomaly(flat(102), NAMES[3], "a donor"),
    ]
    sources = []
    for name, normals in (
        ("plain", None),
        ("rendered", NamedImages(NAMES, np.stack([flat(50 + i) for i in range(8)]))),
    ):
        paths = tmp_path / f"{name}.h5", tmp_path / f"{name}.csv"
        write_anomalies(*paths, name, {0: anomalies, 1: anomalies[:1]}, normals)
        sources.append(SourceFiles(name, *paths))
    return images, sources


def levels(pool: ImagePool, rows: np.ndarray) -> list[int]:
    return pool.images[rows][:, 0, 0, 0].tolist()


def test_shots_and_what_was_made_of_them_are_left_out(files) -> None:
    images, sources = files
    pool = ImagePool()
    plain, rendered = synthetic_tests(pool, images, SUPPORT, 0, {NAMES[5], NAMES[2]}, sources)
    assert plain.image_ids == (NAMES[4], NAMES[6], NAMES[7], "plain/0/002")
    assert plain.labels == (0, 0, 0, 1)
    assert levels(pool, plain.rows) == [4, 6, 7, 102]
    # normals of a source that renders them are its own
    assert levels(pool, rendered.rows) == [54, 56, 57, 102]
    assert len(pool.images) == 7  # the anomaly that both share is there once


def test_without_shots_in_the_support_nothing_is_left_out(files) -> None:
    images, sources = files
    test = synthetic_tests(ImagePool(), images, SUPPORT, 0, {"train/good/77"}, sources[:1])[0]
    assert test.labels == (0, 0, 0, 0, 1, 1, 1)


def test_only_anomalies_of_the_run_and_at_most_the_limit(files) -> None:
    images, sources = files
    assert synthetic_tests(ImagePool(), images, SUPPORT, 1, (), sources[:1])[0].image_ids[4:] == ("plain/1/000",)
    limited = synthetic_tests(ImagePool(), images, SUPPORT, 0, (), sources[:1], limit=2)[0]
    assert limited.image_ids[4:] == ("plain/0/000", "plain/0/002")


def test_limits_are_spread_evenly() -> None:
    assert spread_evenly(9, 3) == [0, 4, 8]
    assert spread_evenly(3, None) == spread_evenly(3, 10) == [0, 1, 2]


def test_nothing_left_is_one_sentence(files) -> None:
    images, sources = files
    with pytest.raises(UserError, match="expected validation images that are no shots of run 0, found none of 4"):
        synthetic_tests(ImagePool(), images, SUPPORT, 0, set(NAMES), sources)
    with pytest.raises(UserError, match=r"plain\.csv: expected anomalies of run 0 that are not made of shots"):
        synthetic_tests(ImagePool(), images, SUPPORT, 0, set(NAMES[2:4]), sources)
