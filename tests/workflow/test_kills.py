"""A study that is killed at random moments and goes on ends with the same bytes, and leaves nothing behind."""

import random
from collections import Counter

import pytest

from tests.workflow.soak import LONGEST_AFTER, Study, drawn, endured


@pytest.mark.slow
def test_kills_at_random_moments_change_no_byte_and_leave_nothing(tmp_path):
    whole = Study(tmp_path / "undisturbed")
    whole.finish()
    assert whole.left_behind() == []
    assert sum(bool(content) for content in whole.files().values()) > 400  # it compares something
    kills = drawn(whole.finished(), ["group", "group", "group", "worker"], random.Random(20))
    hits, faults = endured(tmp_path / "killed", kills, whole)
    assert faults == []
    assert hits >= 3  # the last one may come when all is done


def test_moments_are_drawn_over_the_whole_study():
    kills = [kill for seed in range(100) for kill in drawn(50, ["group", "group", "worker"], random.Random(seed))]
    assert Counter(kill.kind for kill in kills) == {"group": 200, "worker": 100}
    assert {min(kill.jobs for kill in kills), max(kill.jobs for kill in kills)} == {0, 48}
    assert all(0 <= kill.seconds <= LONGEST_AFTER for kill in kills)
    assert drawn(50, ["group"], random.Random(3)) == drawn(50, ["group"], random.Random(3))
