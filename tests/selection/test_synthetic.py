"""From support sets and anomalies to trials: which images, with which labels, against which bank."""

import numpy as np
import pandas as pd
import pytest

from variad.anomalies.anomaly_file import Anomaly, NamedImages, write_anomalies
from variad.core.errors import UserError
from variad.core.tables import write_table
from variad.selection.synthetic import SourceFiles, score_sets, synthetic_sets
from variad.selection.trials import score_real

SIDE = 32
NAMES = [f"train/good/{number}" for number in range(8)]
TESTS = ["test/good/0", "test/dent/0"]


def image(value):
    return np.full((SIDE, SIDE, 3), value, np.uint8)


class Brightness:
    """One candidate: distance of an image's brightness to the mean of its bank's."""

    def score(self, pool, trials):
        mean = pool.reshape(len(pool), -1).mean(axis=1)
        return [{"distance": np.abs(mean[trial.queries] - mean[trial.bank].mean())} for trial in trials]


@pytest.fixture
def files(tmp_path):
    """Two runs; normal images have the brightness of their number; regenerated ones are 100 brighter."""
    import h5py

    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = np.stack([image(value) for value in [*range(8), 50, 90]])
        file.create_dataset("image_id", data=[*NAMES, *TESTS], dtype=h5py.string_dtype())
    rows = [(0, NAMES[n], s) for n, s in ((0, "bank"), (1, "bank"), (2, "seeds"), (3, "seeds"), (4, "validation"))]
    rows += [(1, NAMES[n], s) for n, s in ((7, "bank"), (6, "bank"), (5, "seeds"), (4, "seeds"), (3, "validation"))]
    write_table(tmp_path / "support.csv", pd.DataFrame(rows, columns=["run", "image_id", "set"]), "support")
    runs = {run: [Anomaly(image(200 + run), NAMES[2]), Anomaly(image(210 + run), NAMES[3])] for run in (0, 1)}
    normals = NamedImages(NAMES, np.stack([image(100 + number) for number in range(8)]))
    write_anomalies(tmp_path / "plain.h5", tmp_path / "plain.csv", "plain", runs)
    write_anomalies(tmp_path / "made.h5", tmp_path / "made.csv", "made", runs, normals)
    return tmp_path


def sources(folder, *names):
    return [SourceFiles(name, folder / f"{name}.h5", folder / f"{name}.csv") for name in names]


def scored(folder, *names):
    pool, sets = synthetic_sets(folder / "images.h5", folder / "support.csv", sources(folder, *names))
    return score_sets(Brightness(), pool, sets, "set")


def rows_of(table, source, run):
    chosen = table[(table["source"] == source) & (table["run"] == run)]
    return dict(zip(chosen["image_id"], zip(chosen["label"], chosen["score"], strict=True), strict=True))


def test_originals_where_a_source_brings_no_normal_images(files):
    table = scored(files, "plain")
    assert set(table["candidate"]) == {"set/distance"} and set(table["source"]) == {"plain"}
    assert rows_of(table, "plain", 0) == {NAMES[4]: (0, 3.5), "plain/0/000": (1, 199.5), "plain/0/001": (1, 209.5)}
    assert rows_of(table, "plain", 1) == {NAMES[3]: (0, 3.5), "plain/1/000": (1, 194.5), "plain/1/001": (1, 204.5)}


def test_a_source_with_normal_images_has_them_in_bank_and_validation(files):
    table = scored(files, "plain", "made")
    assert rows_of(table, "made", 0) == {NAMES[4]: (0, 3.5), "made/0/000": (1, 99.5), "made/0/001": (1, 109.5)}
    assert rows_of(table, "plain", 0)["plain/0/000"] == (1, 199.5)


def test_reconstruction_takes_regenerated_normals_for_anomalies(files):
    table = scored(files, "plain", "made")
    assert rows_of(table, "reconstruction", 0) == {
        NAMES[4]: (0, 3.5),
        f"reconstruction/{NAMES[4]}": (1, 103.5),
    }
    assert "reconstruction" not in set(scored(files, "plain")["source"])


def test_seeds_are_never_scored(files):
    table = scored(files, "plain", "made")
    seeds = {0: NAMES[2:4], 1: NAMES[4:6]}
    for run, names in seeds.items():
        assert not set(names) & set(table.loc[table["run"] == run, "image_id"])


def test_real_scores_use_the_original_bank(files):
    table = score_real(Brightness(), files / "images.h5", files / "support.csv", TESTS, "set")
    assert table.to_dict("records") == [
        {"run": 0, "candidate": "set/distance", "image_id": TESTS[0], "score": 49.5},
        {"run": 0, "candidate": "set/distance", "image_id": TESTS[1], "score": 89.5},
        {"run": 1, "candidate": "set/distance", "image_id": TESTS[0], "score": 43.5},
        {"run": 1, "candidate": "set/distance", "image_id": TESTS[1], "score": 83.5},
    ]


def test_missing_runs_and_normal_images(files):
    runs = {0: [Anomaly(image(9), NAMES[2])]}
    write_anomalies(files / "short.h5", files / "short.csv", "short", runs)
    with pytest.raises(UserError, match=r"short\.csv: expected anomalies of run 1, found none"):
        scored(files, "short")
    few = NamedImages(NAMES[:2], np.stack([image(1), image(2)]))
    write_anomalies(files / "few.h5", files / "few.csv", "few", runs, few)
    with pytest.raises(UserError, match=r"few\.h5: expected a normal image train/good/4, found none"):
        scored(files, "few")
