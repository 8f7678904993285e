"""What many tests of the downloads look at."""

import hashlib
from pathlib import Path

import pytest

from variad.core.errors import UserError
from variad.downloads.archives import extract
from variad.downloads.catalogue import Expected


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden files included, sorted."""
    return sorted(path.name for path in folder.iterdir())


def nothing_left(target: Path) -> bool:
    """Whether the folder of ``target`` is empty."""
    return not names(target.parent)


def part_of(target: Path) -> Path:
    """Where the bytes of ``target`` are until it is complete."""
    return target.with_name(f"{target.name}.part")


def note_of(target: Path) -> Path:
    """Where it is noted what the bytes of ``target`` belong to."""
    return target.with_name(f"{target.name}.part.json")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expected_of(content: bytes) -> Expected:
    """All that a publisher could say of ``content``."""
    return Expected(sha256=sha256(content), md5=hashlib.md5(content).hexdigest(), size=len(content))


def refused(archive: Path, place: Path) -> str:
    """The sentence by which ``archive``, alone in ``place``, is refused, after seeing that nothing was written."""
    with pytest.raises(UserError) as refusal:
        extract(archive, place / "data")
    sentence = str(refusal.value)
    assert sentence.endswith(".") and "\n" not in sentence
    assert sentence.startswith(f"{archive}: ")
    assert names(place) == [archive.name]
    assert names(place.parent) == ["here", "victim"]
    assert (place.parent / "victim").read_text() == "untouched"
    return sentence.removeprefix(f"{archive}: ").removesuffix(".")
