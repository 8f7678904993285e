import hashlib
from pathlib import Path

import pytest

from variad.downloads.verification import Digests, Expected, WrongFile, verify_file
from variad.errors import UserError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
ABC_MD5 = "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5


def test_hashes_of_the_standards(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert verify_file(path, Expected(sha256=ABC, md5=ABC_MD5, size=3)) == ABC
    assert verify_file(path, Expected(sha256=ABC.upper())) == ABC


def test_bytes_in_parts_are_the_bytes_at_once() -> None:
    content = bytes(range(256)) * 99
    digests = Digests(with_md5=True)
    for start in range(0, len(content), 1000):
        digests.update(content[start : start + 1000])
    assert (digests.size, digests.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    digests.verify(Expected(md5=hashlib.md5(content).hexdigest()), "content")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (Expected(size=4), "abc: expected 4 bytes, found 3."),
        (Expected(sha256="0" * 64), f"abc: expected sha256 {'0' * 64}, found {ABC}."),
        (Expected(sha256=ABC, md5="1" * 32), f"abc: expected md5 {'1' * 32}, found {ABC_MD5}."),
    ],
)
def test_what_is_wrong_is_named(expected: Expected, message: str) -> None:
    digests = Digests(with_md5=True)
    digests.update(b"abc")
    with pytest.raises(WrongFile) as refusal:
        digests.verify(expected, "abc")
    assert str(refusal.value) == message


def test_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=f"{path}: expected a file, found none."):
            verify_file(path, Expected())


@pytest.mark.parametrize("wrong", [{"sha256": "abc"}, {"md5": ABC}, {"sha256": "g" * 64}, {"size": -1}])
def test_expectations_of_another_form(wrong: dict) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))}: expected .*, found"):
        Expected(**wrong)
