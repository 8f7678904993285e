"""The bootstrap against explicit resampling with scikit-learn, and the coverage of its interval."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from variad.evaluation.bootstrap import Resample, image_metric_draws, interval, pixel_auroc_draws, resample
from variad.evaluation.ranking import auroc, rank_resampled

LABELS = np.array([0] * 13 + [1] * 9)


def repeated(values, counts):
    return np.repeat(values, counts.astype(int))


def best_f1(labels, scores):
    precision, recall, _ = precision_recall_curve(labels, scores)
    return np.max(2 * precision * recall / np.maximum(precision + recall, 1e-30))


@pytest.mark.parametrize("levels", [4, 10_000])
def test_draws_equal_scikit_learn_on_the_resampled_images(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (3, LABELS.size)) + rng.random((3, 1)) + LABELS
    drawn = resample(LABELS, 3, rng, draws=40)
    values = image_metric_draws(scores, LABELS, drawn)
    references = {"image_auroc": roc_auc_score, "image_ap": average_precision_score, "image_f1_max": best_f1}
    for draw, (counts, runs) in enumerate(zip(drawn.images, drawn.runs, strict=True)):
        labels = repeated(LABELS, counts)
        for metric, reference in references.items():
            expected = sum(runs[run] * reference(labels, repeated(scores[run], counts)) for run in range(3))
            assert values[metric][draw] == pytest.approx(expected, abs=1e-12)


def test_without_resampling_the_plain_metric_comes_back():
    scores = np.random.default_rng(0).normal(size=(2, LABELS.size))
    everything = Resample(np.ones((1, LABELS.size)), np.full((1, 2), 0.5))
    expected = np.mean([roc_auc_score(LABELS, run) for run in scores])
    assert image_metric_draws(scores, LABELS, everything)["image_auroc"] == pytest.approx([expected])


def test_resample_keeps_the_number_of_each_label_and_the_weight_of_runs():
    drawn = resample(LABELS, 5, np.random.default_rng(0), draws=300)
    assert (drawn.images[:, LABELS == 0].sum(axis=1) == 13).all()
    assert (drawn.images[:, LABELS == 1].sum(axis=1) == 9).all()
    assert drawn.runs.sum(axis=1) == pytest.approx(np.ones(300))
    assert drawn.images.mean(axis=0) == pytest.approx(np.ones(LABELS.size), abs=0.25)
    again = resample(LABELS, 5, np.random.default_rng(0), draws=300)
    assert (again.images == drawn.images).all()
    assert (again.runs == drawn.runs).all()


def test_one_run_is_always_that_run():
    assert (resample(LABELS, 1, np.random.default_rng(0), draws=5).runs == 1).all()


def test_pixel_draws_equal_scikit_learn_on_the_repeated_pixels():
    rng = np.random.default_rng(2)
    positives = rng.integers(0, 4, (2, 6, 5))
    negatives = rng.integers(0, 9, (2, 6, 5))
    positives[:, :3] = 0
    drawn = resample(np.array([0, 0, 0, 1, 1, 1]), 2, rng, draws=20)
    values = pixel_auroc_draws(list(zip(positives, negatives, strict=True)), drawn)
    for draw, (counts, runs) in enumerate(zip(drawn.images, drawn.runs, strict=True)):
        expected = 0.0
        for run in range(2):
            inside, outside = counts @ positives[run], counts @ negatives[run]
            scores = np.concatenate([repeated(np.arange(5), inside), repeated(np.arange(5), outside)])
            labels = np.repeat([1, 0], [int(inside.sum()), int(outside.sum())])
            expected += runs[run] * roc_auc_score(labels, scores)
        assert values[draw] == pytest.approx(expected, abs=1e-12)


def test_interval_by_hand():
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert interval(np.arange(101.0), level=0.5) == pytest.approx((25.0, 75.0))


def test_one_label_only():
    with pytest.raises(ValueError, match="label 1"):
        resample(np.zeros(4), 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="only one of them"):
        rank_resampled(np.arange(4.0), np.ones(4), np.ones((1, 4)))


def simulated(rng, of_image, of_run, of_both):
    """Scores of five runs before and after on 60 images; the gain varies with the image, the run, and both."""
    labels = np.arange(60) % 2
    difficulty = rng.normal(size=60)
    before = labels + difficulty + np.zeros((5, 1))
    gain = 0.4 + of_image * rng.normal(size=60) + of_run * rng.normal(size=(5, 1)) + of_both * rng.normal(size=(5, 60))
    return labels, before, before + labels * gain


def mean_auroc(labels, scores):
    return np.mean([auroc(run, labels) for run in scores])


def coverage(seed=5, repetitions=250, **spreads):
    """How often the interval holds the mean gain of all repetitions, of which each has new images and new runs."""
    rng = np.random.default_rng(seed)
    gains, intervals = [], []
    for _ in range(repetitions):
        labels, before, after = simulated(rng, **spreads)
        drawn = resample(labels, 5, rng, draws=300)
        draws = [image_metric_draws(scores, labels, drawn)["image_auroc"] for scores in (after, before)]
        gains.append(mean_auroc(labels, after) - mean_auroc(labels, before))
        intervals.append(interval(draws[0] - draws[1]))
    low, high = np.array(intervals).T
    return np.mean((low <= np.mean(gains)) & (np.mean(gains) <= high))


@pytest.mark.slow
def test_coverage_of_the_interval():
    # Close to 95 % where images differ; below it where runs differ, for five runs are few; above it where the gain
    # varies with image and run together, which a two-way bootstrap counts more than once.
    assert 0.90 <= coverage(of_image=0.6, of_run=0.0, of_both=0.0) <= 0.985
    assert 0.75 <= coverage(of_image=0.0, of_run=0.6, of_both=0.0) <= 0.95
    assert coverage(of_image=0.0, of_run=0.0, of_both=0.6) >= 0.97
