"""Regret, half-split tau and intervals of tau, by hand and by simulation."""

import numpy as np
import pandas as pd
import pytest

from variad.selection.judgement import (
    RealTest,
    SyntheticScores,
    judge,
    kendall_tau,
    real_test,
    synthetic_test,
    tau_interval,
    worth,
)

KEY = (0, "d", "c")


def test_worth_by_hand():
    real = np.array([[0.9, 0.7, 0.5], [0.6, 0.8, 0.8]])
    chosen = np.array([[1, 0, 0], [0.5, 0.5, 0]])
    assert worth(real, chosen) == pytest.approx(
        {
            "runs": 2,
            "candidates": 3,
            "selected": (0.9 + 0.7) / 2,
            "oracle": (0.9 + 0.8) / 2,
            "average": (0.7 + 2.2 / 3) / 2,
            "regret": (0 + 0.1) / 2,
            "best_picked": (1 + 0.5) / 2,
        }
    )


def test_no_choice_beats_the_best_by_rounding():
    found = worth(np.full((1, 10), 0.1), np.full((1, 10), 0.1))
    assert found["regret"] == 0 and found["best_picked"] == 1


def candidates_of(strengths, number, generator):
    """Scores [K, I] of candidates that find anomalies with different strength, and labels."""
    labels = np.repeat([0, 1], number)
    noise = generator.normal(size=(len(strengths), 2 * number))
    return np.asarray(strengths)[:, None] * labels + noise, labels


def real_of(scores, labels):
    return RealTest([f"c{k}" for k in range(scores.shape[1])], scores, np.where(labels == 0, "good", "dent"))


def test_half_split_tau_is_one_where_halves_must_agree_and_zero_where_scores_are_noise():
    labels = np.repeat([0, 1], 40)
    # candidate k gets k of every ten anomalies wrong, images alternate, so that halves nearly agree
    clear = np.stack([np.where(np.arange(80) % 10 < wrong, -1, 1) * labels for wrong in (0, 3, 6, 9)])[None]
    noise = np.random.default_rng(0).normal(size=(1, 12, 80))
    weights = {"random": np.full((1, 4), 0.25)}
    judged, _ = judge("defects", "detector", real_of(clear, labels), {}, weights, KEY, draws=20)
    assert judged[0].row["half_split_tau"] > 0.97
    weights = {"random": np.full((1, 12), 1 / 12)}
    judged, _ = judge("defects", "detector", real_of(noise, labels), {}, weights, KEY, draws=20)
    assert abs(judged[0].row["half_split_tau"]) < 0.3


def test_a_source_that_ranks_as_reality_does_has_no_regret():
    generator = np.random.default_rng(1)
    strengths = np.linspace(0, 3, 8)
    scores, labels = candidates_of(strengths, 200, generator)
    again, synthetic_labels = candidates_of(strengths, 200, generator)
    reverse, _ = candidates_of(strengths[::-1], 200, generator)
    synthetic = {name: SyntheticScores([s], [synthetic_labels]) for name, s in (("same", again), ("reverse", reverse))}
    weights = {"same": np.eye(8)[[7]], "reverse": np.eye(8)[[0]], "default": np.eye(8)[[3]]}
    judged, real = judge("defects", "detector", real_of(scores[None], labels), synthetic, weights, KEY, draws=200)
    rows = {one.row["source"]: one.row for one in judged}
    assert rows["same"]["tau"] == kendall_tau(synthetic["same"].auroc()[0], real[0]) > 0.8
    assert rows["same"]["regret"] == 0 and rows["same"]["best_picked"] == 1
    assert rows["reverse"]["tau"] < -0.8 and rows["reverse"]["regret"] == pytest.approx(real.max() - real[0, 0])
    assert rows["same"]["default"] == rows["default"]["selected"] == real[0, 3]
    assert np.isnan(rows["default"]["tau"]) and judged[-1].tau_draws.size == 0
    assert rows["same"]["tau_low"] <= rows["same"]["tau"] <= rows["same"]["tau_high"] <= 1


def test_the_interval_covers_what_all_images_would_give():
    strengths, other = np.linspace(0.2, 2.0, 10), np.array([0, 2, 1, 3, 5, 4, 7, 6, 9, 8])
    truth = kendall_tau(strengths, strengths[other])
    covered = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        scores, labels = candidates_of(strengths, 200, generator)
        made, made_labels = candidates_of(strengths[other], 100, generator)
        judged, _ = judge(
            "defects",
            "detector",
            real_of(scores[None], labels),
            {"s": SyntheticScores([made], [made_labels])},
            {"s": np.eye(10)[[0]]},
            (seed, "d", "c"),
            draws=150,
            splits=2,
        )
        covered.append(judged[0].row["tau_low"] <= truth <= judged[0].row["tau_high"])
    assert np.mean(covered) >= 0.85


def coverage(candidates, spread, agreement, repetitions=400, draws=200):
    """How often the interval holds the tau without noise.

    Args:
        spread: standard deviation of real AUROC over candidates, as a multiple of its noise.
        agreement: correlation between real and synthetic AUROC without noise.
    """
    generator, held = np.random.default_rng(0), 0
    for _ in range(repetitions):
        real, other = spread * generator.normal(size=(2, candidates))
        truth = np.stack([real, agreement * real + (1 - agreement**2) ** 0.5 * other])
        seen = truth + generator.normal(size=truth.shape)
        drawn = seen[:, None] + generator.normal(size=(2, draws, candidates))
        low, high = tau_interval(float(kendall_tau(*seen)), kendall_tau(*drawn))
        held += low <= kendall_tau(*truth) <= high
    return held / repetitions


@pytest.mark.parametrize(
    ("candidates", "spread", "agreement", "found"),
    [
        # the lowest and the highest of 10, 20 and 42 candidates, spreads of 2 to 9 and agreements of 0 to 0.95
        (10, 2, 0.95, 0.85),
        pytest.param(42, 5, 0.95, 0.98, marks=pytest.mark.slow),
        (20, 3, 0.5, 0.92),
        # a source that ranks as reality does, and candidates that differ by no more than their noise
        (20, 2, 1, 0.69),
        (20, 1, 0.8, 0.70),
    ],
)
def test_the_interval_covers_what_is_said_of_it(candidates, spread, agreement, found):
    """``tau_interval``, docs/methods.md and the tables' legend say these."""
    assert coverage(candidates, spread, agreement) == pytest.approx(found, abs=0.04)


def test_interval_by_hand():
    draws = np.linspace(0.2, 0.6, 1001)  # mean 0.4, quartiles 0.3 and 0.5
    assert tau_interval(0.4, draws, level=0.5) == pytest.approx((0.3, 0.5))
    assert tau_interval(0.5, draws, level=0.5) == pytest.approx((0.4, 0.5 + 0.1 * (1 + np.sqrt(2)) + 0.1))
    assert tau_interval(0.9, draws, level=0.5)[1] == 1
    assert np.isnan(tau_interval(0.5, np.zeros(0))).all()


def test_arrays_of_tables_follow_names_not_order():
    real = pd.DataFrame(
        [(run, c, i, 100 * run + 10 * "ab".index(c) + "xyz".index(i)) for run in (1, 0) for c in "ba" for i in "zxy"],
        columns=["run", "candidate", "image_id", "score"],
    )
    test = real_test(real, {"y": "good", "x": "dent", "z": "good"}, ["a", "b"])
    np.testing.assert_array_equal(test.scores, [[[1, 0, 2], [11, 10, 12]], [[101, 100, 102], [111, 110, 112]]])
    assert test.defects.tolist() == ["good", "dent", "good"]

    labelled = real.assign(label=[1 if name == "z" else 0 for name in real["image_id"]])
    synthetic = synthetic_test(labelled, ["a", "b"])
    np.testing.assert_array_equal(synthetic.scores[1], [[100, 101, 102], [110, 111, 112]])
    np.testing.assert_array_equal(synthetic.labels[0], [0, 0, 1])
