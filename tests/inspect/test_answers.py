"""Thresholds from good photographs, what a score means, and what can be promised of it."""

import numpy as np
import pandas as pd
import pytest

from variad.inspect.answers import (
    Answers,
    HeldOutScores,
    counted,
    drift,
    outcome,
    percent,
    promising,
    rate_above_quantile,
)


def held_out(score, known_good=True, peak=None, of_one_picture=False):
    score = np.asarray(score, np.float64)
    known = np.broadcast_to(np.asarray(known_good, bool), score.shape)
    return HeldOutScores(score, score if peak is None else np.asarray(peak, np.float64), known, of_one_picture)


def test_three_answers_by_two_thresholds():
    answers = Answers(held_out(np.arange(101), peak=np.arange(101) / 10))
    assert (answers.look, answers.bad, answers.pixel, answers.count) == (95.0, 99.0, 9.5, 101)
    assert [answers.answer(score) for score in (-5, 95, 95.01, 99, 99.01)] == ["good", "good", "look", "look", "bad"]
    assert answers.answer(np.float32(99.01)) == "bad"
    assert answers.multiple(198.0) == 2.0
    other = Answers(held_out(np.arange(101)), (0.5, 0.75))
    assert (other.look, other.bad, other.pixel) == (50.0, 75.0, 50.0)


def test_without_held_out_scores_there_is_no_answer():
    answers = Answers(held_out([]))
    assert (answers.look, answers.bad, answers.pixel, answers.answer(3.0)) == (None, None, None, None)
    assert np.isnan(answers.calibrated(3.0)) and np.isnan(answers.multiple(3.0))
    assert answers.false_alarms() is None
    assert "no threshold" in answers.promise()


def test_a_score_is_not_a_multiple_of_a_threshold_that_is_not_above_0():
    assert np.isnan(Answers(held_out([-3.0, -2.0])).multiple(1.0))


def test_a_single_defect_among_a_hundred_photographs_sets_no_threshold():
    good = np.linspace(1, 2, 100)  # median 1.5, median absolute deviation .25: limit 1.5 + 3 * 1.4826 * .25 = 2.61
    scores = [*good, 2.6, 2.7, 9.0]
    peak = [*np.linspace(3, 4, 100), 5.0, 6.0, 99.0]
    answers = Answers(held_out(scores, False, peak), (1.0, 1.0))
    assert (answers.bad, answers.pixel, answers.count) == (2.6, 5.0, 101)
    answers = Answers(held_out(scores, True, peak), (1.0, 1.0))  # somebody has said so
    assert (answers.bad, answers.pixel, answers.count) == (9.0, 99.0, 103)
    equal = Answers(held_out([1.0, 1.0, 1.0, 2.0], False), (1.0, 1.0))
    assert (equal.bad, equal.count) == (2.0, 4)  # no spread, no outlier
    mixed = Answers(held_out([*scores, 50.0], [False] * 103 + [True]), (1.0, 1.0))
    assert (mixed.bad, mixed.count) == (50.0, 102)  # a shot is good, however it is scored


def test_a_calibrated_score_is_the_share_of_good_ones_below():
    answers = Answers(held_out([1.0, 2.0, 2.0, 4.0]))
    assert [answers.calibrated(score) for score in (0, 1, 1.5, 2, 3, 4, 5)] == [0, 0.125, 0.25, 0.5, 0.75, 0.875, 1]


def test_a_calibrated_score_means_the_same_in_any_unit():
    draw = np.random.default_rng(0)
    scores, new = draw.normal(size=50), draw.normal(size=20)
    one, other = Answers(held_out(scores)), Answers(held_out(np.exp(scores)))
    assert [one.calibrated(score) for score in new] == [other.calibrated(score) for score in np.exp(new)]


def test_the_table_names_its_columns():
    table = pd.DataFrame({"image_id": ["a", "b"], "known_good": [True, False], "score": [1.0, 2.0], "peak": [3.0, 4.0]})
    read = HeldOutScores.from_table(table)
    assert (read.score.tolist(), read.peak.tolist(), read.known_good.tolist()) == ([1, 2], [3, 4], [True, False])
    assert not read.of_one_picture
    assert HeldOutScores.from_table(table.assign(image_id="")).of_one_picture
    assert not HeldOutScores.from_table(table[:0]).of_one_picture


def test_the_highest_of_five_is_exceeded_as_counted_by_hand():
    """P(all five below x) = F(x)^5: the share above the highest is below 1 - .025^(1/5) with 97.5 %."""
    rate = rate_above_quantile(5, 1.0)
    assert rate.high == pytest.approx(1 - 0.025**0.2) and rate.low == pytest.approx(1 - 0.975**0.2)
    assert rate.mean == pytest.approx(1 / 6)
    assert rate_above_quantile(1, 0.99) == pytest.approx((0.025, 0.975, 0.5))
    # between the fourth and the fifth of five, at 3.96 of 4: the bounds of one of five, by Clopper and Pearson
    rate, one_of_five = rate_above_quantile(5, 0.99), counted(1, 5)
    assert rate[:2] == pytest.approx(one_of_five[:2])
    assert rate.mean == pytest.approx(1.04 / 6)


def test_rates_that_were_counted_have_the_published_intervals():
    assert counted(0, 10)[:2] == pytest.approx((0, 1 - 0.025**0.1))
    assert counted(10, 10)[:2] == pytest.approx((0.025**0.1, 1))
    assert counted(4, 20) == pytest.approx((0.057334, 0.436614, 0.2), abs=1e-6)  # scipy.stats.binomtest's
    assert counted(0, 0) is None


@pytest.mark.parametrize("count", [3, 8, 40, 150])
@pytest.mark.parametrize("quantile", [0.8, 0.95, 0.99])
def test_the_interval_holds_as_often_as_it_says(count, quantile):
    draw = np.random.default_rng(0)
    rate = rate_above_quantile(count, quantile)
    above = 1 - np.quantile(draw.random((20_000, count)), quantile, axis=1)  # of a uniform distribution
    assert ((above >= rate.low) & (above <= rate.high)).mean() > 0.947
    assert above.mean() == pytest.approx(rate.mean, abs=0.005)


def test_what_can_be_promised_is_said_in_words():
    said = Answers(held_out(np.arange(5.0))).promise()
    assert said == (
        "5 held-out photographs: a false-alarm rate between 0.51 and 72 % (exact 95 % interval; 17 % expected); "
        "they cannot promise 1 %, which takes 299 and a threshold at the highest."
    )
    assert Answers(held_out([1.0])).promise().startswith("1 held-out photograph: ")
    many = Answers(held_out(np.arange(300.0))).promise()
    assert many.startswith("300 held-out photographs") and many.endswith("expected).")
    made = Answers(held_out(np.arange(5.0), of_one_picture=True)).promise()
    assert made.startswith("5 images made from the only good picture") and "no rate is promised" in made


def test_how_many_it_takes_to_promise_a_rate():
    assert (promising(0.99), promising(0.95), promising(1.0), promising(0.0)) == (299, 59, None, None)
    assert 0.99**299 <= 0.05 < 0.99**298


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0"), (0.0051, "0.51"), (0.723, "72"), (0.994, "99"), (0.996, "100"), (1, "100")]
)
def test_percent_has_two_digits(share, text):
    assert percent(share) == text


def test_misses_and_false_alarms_by_threshold():
    """Good 0 to 9, defects 8, 9.5, 20; held-out 0 to 10: look 9.5, bad 9.9; the fewest mistakes are above 9."""
    answers = Answers(held_out(np.arange(11.0)))
    scores, labels = [*range(10), 8.0, 9.5, 20.0], [0] * 10 + [1] * 3
    rows = answers.table(scores, labels)
    assert [(row.threshold, row.misses, row.false_alarms) for row in rows] == [(9.0, 1, 0), (9.5, 2, 0), (9.9, 2, 0)]
    assert {(row.defects, row.good) for row in rows} == {(3, 10)}
    assert rows[0].miss_rate == counted(1, 3) and rows[0].false_alarm_rate == counted(0, 10)


def test_a_table_of_good_photographs_alone_knows_no_misses():
    rows = Answers(held_out(np.arange(11.0))).table([1.0, 9.7], [0, 0])
    assert [(row.threshold, row.false_alarms, row.miss_rate) for row in rows] == [
        (9.5, 1, None),
        (9.7, 0, None),
        (9.9, 0, None),
    ]
    assert Answers(held_out([])).table([], []) == []
    assert outcome(np.array([1.0]), np.array([True]), 0.5).false_alarm_rate is None


def test_the_fewest_mistakes_may_be_to_call_all_anomalous():
    best, *_ = Answers(held_out(np.arange(10.0, 15.0))).table([5.0, 6.0, 7.0, 8.0], [1, 1, 0, 1])
    assert best.threshold == np.nextafter(5.0, 0.0)
    assert (best.misses, best.defects, best.false_alarms, best.good) == (0, 3, 1, 1)


def test_outliers_that_were_left_out_may_have_been_good():
    """Of 100 + 10 photographs ten are outliers: counted as good ones, 1 + 10 of 110 are above."""
    scores = [*np.linspace(1, 2, 100), *np.linspace(8, 9, 10)]
    answers = Answers(held_out(scores, False))
    assert (answers.count, answers.outliers) == (100, 10)
    clean, (_, bad) = rate_above_quantile(100, 0.99), answers.false_alarms()
    assert bad == (clean.low, pytest.approx(counted(11, 110).high), clean.mean)
    assert bad.high > 0.15 > 0.06 > clean.high
    assert "whose upper end counts 10 outliers as good" in answers.promise()
    assert "outlier" not in Answers(held_out(scores[:100], False)).promise()


def test_a_folder_that_lies_above_has_moved_with_the_p_value_of_its_ranks():
    """Of ten the highest two are left out: eight above five are one of 13! / (8! 5!) = 1287 orders."""
    found = drift(np.arange(10, 20), held_out(np.arange(5.0)))
    assert found.p_value == pytest.approx(2 / 1287) and found.moved
    assert "higher as a whole than 20 % of defects explain" in found.sentence
    assert not drift(np.arange(-20, -10), held_out(np.arange(5.0))).moved  # five say nothing of lower scores
    many = held_out(np.random.default_rng(0).normal(size=60))
    found = drift(np.random.default_rng(1).normal(-1.5, 1, 40), many)
    assert found.moved and "lower as a whole" in found.sentence


def test_too_few_cannot_tell_drift():
    for found in (
        drift(np.arange(7.0) + 100, held_out(np.arange(50.0))),
        drift(np.arange(50.0) + 100, held_out(np.arange(4.0))),
        drift(np.arange(50.0) + 100, held_out(np.arange(50.0), of_one_picture=True)),
    ):
        assert found[:2] == (None, False) and "cannot be told" in found.sentence


@pytest.mark.parametrize("defects", [0, 0.1, 0.2])
@pytest.mark.parametrize("count", [5, 60])
def test_defects_are_no_drift_and_drift_is_found_among_them(defects, count):
    draw = np.random.default_rng(0)

    def found(shift):
        folder = draw.normal(shift, 1, 50)
        folder[: round(50 * defects)] += 10
        return drift(folder, held_out(draw.normal(size=count))).moved

    assert sum(found(0) for _ in range(300)) <= 3 + 4  # of 300 at most 1 %, and what chance adds
    assert sum(found(2.5) for _ in range(100)) > (60 if count == 5 else 98)
