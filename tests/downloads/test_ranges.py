import pytest

from variad.downloads.ranges import content_length, content_range, range_headers, validator_of


def test_what_is_asked_for() -> None:
    assert range_headers(0, '"tag"') == {}
    assert range_headers(5, None) == {"Range": "bytes=5-"}
    assert range_headers(5, '"tag"') == {"Range": "bytes=5-", "If-Range": '"tag"'}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("items 5-9/10", (None, None)),
        ("bytes -5-9/10", (None, None)),
        ("", (None, None)),
    ],
)
def test_content_range(value: str, expected: tuple[int | None, int | None]) -> None:
    assert content_range({"Content-Range": value}) == expected


def test_strong_tag_before_date_and_weak_tag_never() -> None:
    date = "Mon, 02 Jan 2023 10:00:00 GMT"
    assert validator_of({"ETag": '"a"', "Last-Modified": date}) == '"a"'
    assert validator_of({"ETag": 'W/"a"', "Last-Modified": date}) == date
    assert validator_of({"ETag": 'W/"a"'}) is None


@pytest.mark.parametrize(("value", "expected"), [("12", 12), ("-1", None), ("1_0", None), ("²", None), ("", None)])
def test_content_length(value: str, expected: int | None) -> None:
    assert content_length({"Content-Length": value}) == expected
