"""Logical and structural anomalies apart."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from variad.evaluation.cells import evaluate_cell
from variad.evaluation.pixel import anomaly_type, image_auroc_by_type

KINDS = {"good": 30, "logical_anomalies": 20, "structural_anomalies": 25}


def table(seed, kinds, run=0):
    rng = np.random.default_rng(seed)
    rows = [
        (
            run,
            f"test/{kind}/{number:03}",
            int(kind != "good"),
            rng.integers(0, 8) + 2 * (kind == "structural_anomalies"),
        )
        for kind, count in kinds.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=["run", "image_id", "label", "score"])


def test_each_type_against_all_good_images_equals_scikit_learn():
    scores = table(0, KINDS)
    found = image_auroc_by_type(scores)
    for name in ("logical", "structural"):
        part = scores[~scores["image_id"].str.contains("structural" if name == "logical" else "logical")]
        assert found[f"image_auroc_{name}"] == pytest.approx(roc_auc_score(part["label"], part["score"]), abs=1e-12)
    assert found["image_auroc_type_mean"] == (found["image_auroc_logical"] + found["image_auroc_structural"]) / 2
    assert found["image_auroc_structural"] > found["image_auroc_logical"] + 0.1


@pytest.mark.parametrize("kind", list(KINDS))
def test_nothing_unless_there_are_good_images_and_both_types(kind):
    assert image_auroc_by_type(table(0, {**KINDS, kind: 0})) == {}


def test_type_is_the_middle_of_the_name():
    assert anomaly_type("test/logical_anomalies/good") == "logical_anomalies"
    assert anomaly_type("unlabelled/7") == ""


def test_metrics_of_a_cell_hold_them_for_every_run():
    scores = pd.concat([table(run, KINDS, run) for run in range(2)], ignore_index=True)
    cell = {"dataset": "d", "category": "c", "detector": "x", "scenario": "one_shot", "training_set": "original"}
    metrics = evaluate_cell(scores, pd.DataFrame(columns=["run", "metric", "value"]), cell)
    for run in range(2):
        values = metrics[metrics["run"] == run].set_index("metric")["value"]
        expected = image_auroc_by_type(scores[scores["run"] == run])
        assert {name: values[name] for name in expected} == expected
        assert list(values.index[:3]) == ["image_auroc", "image_ap", "image_f1_max"]
    plain = evaluate_cell(table(0, {"good": 3, "scratch": 3}), metrics.iloc[:0][["run", "metric", "value"]], cell)
    assert list(plain["metric"]) == ["image_auroc", "image_ap", "image_f1_max"]
