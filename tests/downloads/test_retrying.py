from datetime import UTC, datetime

import pytest

from variad.downloads.retrying import Interrupted, Patience, backoff, passing, retry_after, wait
from variad.errors import UserError


def test_waits_double_up_to_the_longest() -> None:
    patience = Patience(first_wait=2.0, longest_wait=10.0)
    for failures, ceiling in enumerate([2, 4, 8, 10, 10], start=1):
        waits = [backoff(failures, patience) for _ in range(200)]
        assert ceiling / 2 <= min(waits) < 0.6 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC)) == seconds


def test_which_statuses_pass() -> None:
    assert [status for status in range(200, 600) if passing(status)] == [408, 425, 429, *range(500, 600)]


def test_last_attempt_is_not_waited_after(waits: list[float]) -> None:
    wait("http://there", Interrupted("it"), 2, Patience(retries=2))
    with pytest.raises(UserError, match=r"^http://there: expected a file, found in 3 attempts in a row: it\.$"):
        wait("http://there", Interrupted("it"), 3, Patience(retries=2))
    assert len(waits) == 1
