"""A study in parts, each planned by itself: together they are the whole."""

import shlex
from collections import Counter

import pytest

from variad.study.references import part_of

from .documents import blocks
from .running import planned, snakemake

# what all categories share is made by the first part that needs it
SHARED = {"build_conse": 1, "fetch_wordnet": 1}


def joining_words() -> tuple[list[str], list[str]]:
    """The rules that join the parts, and the files that they make, as docs/scale.md has them."""
    (loop,) = (block for block in blocks("scale", "bash") if "--allowed-rules" in block)
    words = shlex.split(loop.replace("\\\n", ""))  # a line that goes on; shlex would make a word of its end
    files = words.index("--")
    return words[words.index("--allowed-rules") + 1 : files], words[files + 1 :]


@pytest.mark.parametrize(
    ("part", "items"),
    [
        (None, "abcdefg"),
        ("1/1", "abcdefg"),
        ("1/3", "ab"),
        ("2/3", "cd"),
        ("3/3", "efg"),
        ("1/9", ""),
        ("9/9", "g"),
    ],
)
def test_items_of_a_part(part, items):
    assert part_of("abcdefg", part) == list(items)


@pytest.mark.parametrize("parts", [1, 2, 5, 7, 10, 100])
def test_parts_hold_every_item_once_and_are_about_as_large(parts):
    found = [part_of(range(23), f"{number}/{parts}") for number in range(1, parts + 1)]
    assert [item for part in found for item in part] == list(range(23))
    assert {len(part) for part in found} <= {23 // parts, 23 // parts + 1}


@pytest.mark.slow
def test_parts_and_what_joins_them_are_the_whole_study(tmp_path):
    whole = Counter(planned(tmp_path))
    parts = [Counter(planned(tmp_path, "part", "--config", f"part={number}/2")) for number in (1, 2)]
    joining = dict.fromkeys(["all", *joining_words()[0]], 1)
    assert sum(parts, Counter()) + Counter(joining) == whole + Counter(SHARED) + Counter({"part": 2})
    # the first part is ELPV, the second one the textures, which are rendered
    assert [part["unpack_dataset"] for part in parts] == [0, 1]
    assert parts[0]["aggregate_category"] == parts[1]["aggregate_category"] == 1


@pytest.mark.slow
def test_what_joins_parts_asks_for_all_of_them(tmp_path):
    """And for nothing else: no other rule is planned, so that a missing part is said and not made."""
    rules, files = joining_words()
    # Snakemake stops at the first fault that it meets, and meets targets in no fixed order: each is asked for alone too
    for asked in [files, *([file] for file in files)]:
        said = snakemake(tmp_path, "--dry-run", "--allowed-rules", *rules, "--", *asked)
        words = said.stdout + said.stderr  # of a dry run Snakemake says even what is wrong on standard output
        assert said.returncode != 0 and "MissingInputException" in words, asked
        assert "results/tables/elpv/mono.bootstrap.h5" in words, asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "found"), [("3/2", "expected at most 2/2, found 3/2"), ("0/2", "3/100, found '0/2'"), ("a", "found 'a'")]
)
def test_a_part_that_there_is_not_is_one_sentence(tmp_path, part, found):
    said = snakemake(tmp_path, "--dry-run", "part", "--config", f"part={part}")
    words = said.stdout + said.stderr
    assert said.returncode != 0 and "config key part: expected" in words and found in words
    assert "Traceback" not in words
