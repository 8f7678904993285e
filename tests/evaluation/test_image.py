"""Image metrics against hand-made cases and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from variad.evaluation.ranking import auroc, image_metrics


def average_precision(scores, labels):
    return image_metrics(scores, labels)["image_ap"]


def f1_max(scores, labels):
    return image_metrics(scores, labels)["image_f1_max"]


def best_f1(labels, scores):
    precision, recall, _ = precision_recall_curve(labels, scores)
    return np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-30))


def test_hand_case():
    # Positives .9 and .4; negatives .5 and .1. Of four pairs three are right.
    scores, labels = [0.9, 0.5, 0.4, 0.1], [1, 0, 1, 0]
    assert auroc(scores, labels) == image_metrics(scores, labels)["image_auroc"] == 0.75
    assert average_precision(scores, labels) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert f1_max(scores, labels) == pytest.approx(0.8)  # threshold .4: precision 2/3, recall 1


def test_all_scores_equal():
    scores, labels = [1.0, 1.0, 1.0, 1.0], [0, 1, 0, 0]
    assert auroc(scores, labels) == 0.5
    assert average_precision(scores, labels) == 0.25
    assert f1_max(scores, labels) == pytest.approx(0.4)


def test_perfect_and_inverted():
    assert auroc([3, 2, 1, 0], [1, 1, 0, 0]) == 1.0
    assert auroc([3, 2, 1, 0], [0, 0, 1, 1]) == 0.0
    assert average_precision([3, 2, 1, 0], [1, 1, 0, 0]) == f1_max([3, 2, 1, 0], [1, 1, 0, 0]) == 1.0


@pytest.mark.parametrize("levels", [3, 20, 100_000])
@pytest.mark.parametrize("size", [2, 17, 400])
def test_equals_scikit_learn(size, levels):
    rng = np.random.default_rng(size + levels)
    for _ in range(20):
        labels = rng.permutation(np.arange(size) % 2)
        scores = rng.integers(0, levels, size) / 7.0
        assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        assert f1_max(scores, labels) == pytest.approx(best_f1(labels, scores), abs=1e-12)


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max])
def test_order_of_images_and_monotone_transforms_do_not_matter(metric):
    rng = np.random.default_rng(0)
    scores, labels = np.round(rng.normal(size=60), 1), rng.integers(0, 2, 60)
    value = metric(scores, labels)
    order = rng.permutation(60)
    assert metric(scores[order], labels[order]) == value
    assert metric(np.exp(3 * scores) + 5, labels) == value


def test_reversed_scores_give_the_complement():
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 9, 50), rng.integers(0, 2, 50)
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-15)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1, 2], [1, 1], "expected positives and negatives, found 2 and 0"),
        ([1, 2], [0, 0], "found 0 and 2"),
        ([], [], "found 0 and 0"),
        ([1, np.nan, 0], [1, 1, 0], "finite"),
        ([1, 0, np.inf], [1, 0, 0], "finite"),
        ([1, 2, 3], [0, 1], "as many scores as labels"),
        ([1, 2, 3], [0, 1, 2], "labels 0 and 1"),
    ],
)
def test_bad_input(scores, labels, message):
    for metric in (auroc, average_precision, f1_max):
        with pytest.raises(ValueError, match=message):
            metric(scores, labels)
