"""The table by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.markdown_rows import rows
from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.selection.exposure_judging import exposure_page, exposure_table, judge_category, network_text

LABELS = {"test/good/0": 0, "test/good/1": 0, "test/bad/0": 1, "test/bad/1": 1}
MANIFEST = pd.DataFrame({"image_id": list(LABELS), "label": list(LABELS.values())})


def scores(source: str, objective: str, support: str, runs: list[list[float]]) -> pd.DataFrame:
    parts = [pd.DataFrame({"run": run, "image_id": list(LABELS), "score": values}) for run, values in enumerate(runs)]
    return pd.concat(parts).assign(source=source, objective=objective, support=support)


# AUROC of the runs: frozen 0.5 and 0.75, control 0.5 and 0.5, exposed 1 and 0.75, exposed with more support 1 and 1
ALL = pd.concat(
    [
        scores("none", "frozen", "support", [[1, 4, 2, 3], [1, 3, 2, 4]]),
        scores("none", "rotation", "support", [[1, 1, 1, 1], [1, 4, 2, 3]]),
        scores("style_mix", "classification", "support", [[1, 2, 3, 4], [1, 3, 2, 4]]),
        scores("style_mix", "classification", "with more", [[1, 2, 3, 4], [1, 2, 3, 4]]),
    ]
)


def test_means_and_differences_by_hand(tmp_path) -> None:
    judged = judge_category(ALL, MANIFEST, 0, "elpv", "mono", draws=50)
    table = exposure_table({("elpv", "mono"): judged}, "rotation").set_index(["source", "objective", "support"])
    exposed = table.loc[("style_mix", "classification", "support")]
    assert (exposed["mean"], exposed["runs"]) == (87.5, 2)
    assert exposed["std"] == pytest.approx(100 * 0.125 * 2**0.5, abs=1e-4)
    assert (exposed["gain"], exposed["over_control"]) == (25.0, 37.5)
    assert np.isnan(exposed["over_support"])
    assert exposed["gain_low"] <= 25 <= exposed["gain_high"]
    more = table.loc[("style_mix", "classification", "with more")]
    assert more["over_support"] == 12.5 and np.isnan(more["gain"])  # the frozen network was not scored with it
    assert np.isnan(table.loc[("none", "frozen", "support"), "gain"])
    path = tmp_path / "exposure.csv"
    write_table(path, table.reset_index(), "exposure")
    page = exposure_page(read_table(path, "exposure"), "Scaled down.", "lite0", "rotation")
    (row,) = [row for row in rows(page) if row[:3] == ["style_mix", "classification", "plain"]]
    assert row[3] == "87.5 ± 17.7" and row[4].startswith("+25.0 [") and "> Scaled down." in page


def test_the_average_is_over_categories_and_runs_stay_paired() -> None:
    mono = judge_category(ALL, MANIFEST, 0, "elpv", "mono", draws=20)
    table = exposure_table({("elpv", "mono"): mono, ("elpv", "poly"): mono}, "rotation")
    average = table[table["category"] == "average"].set_index(["source", "objective", "support"])
    assert average.loc[("style_mix", "classification", "support"), "gain"] == 25.0
    assert table["category"].drop_duplicates().tolist() == ["mono", "poly", "average"]


def test_one_label_only_is_one_sentence() -> None:
    with pytest.raises(UserError, match="test images of elpv/mono: expected normal and anomalous ones"):
        judge_category(ALL, MANIFEST.assign(label=0), 0, "elpv", "mono", draws=5)


def test_a_stand_in_for_the_transformer_says_so() -> None:
    assert "in place of a vision transformer" in network_text("efficientnet_lite0", 1)
    assert network_text("vit_base_patch16_224", None) == "vit_base_patch16_224, all blocks fine-tuned"
