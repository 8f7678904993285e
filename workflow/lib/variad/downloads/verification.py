"""What a downloaded file has to be: its size and hashes, computed while it is written."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from variad.errors import UserError

BLOCK = 2**20
HEXADECIMAL = {"sha256": 64, "md5": 32}


class WrongFile(UserError):
    """A file that is whole and not the expected one."""


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand; what is None is not checked.

    Attributes:
        sha256: 64 hexadecimal digits.
        md5: 32 hexadecimal digits; older publishers give no other hash.
        size: bytes, exact.

    Raises:
        UserError: a hash of another form, or a negative size.
    """

    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for name, digits in HEXADECIMAL.items():
            value = getattr(self, name)
            if value is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
                raise UserError(f"{name}: expected {digits} hexadecimal digits, found '{value}'.")
        if self.size is not None and self.size < 0:
            raise UserError(f"size: expected a number of bytes, found {self.size}.")

    @property
    def hashed(self) -> bool:
        """Whether a hash tells this file from every other."""
        return self.sha256 is not None or self.md5 is not None


class Digests:
    """Size and hashes of the bytes seen so far; MD5 only where it is asked for."""

    def __init__(self, with_md5: bool = False) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        self.size += len(chunk)
        self._sha256.update(chunk)
        if self._md5 is not None:
            self._md5.update(chunk)

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes so far."""
        return self._sha256.hexdigest()

    def verify(self, expected: Expected, name: str) -> None:
        """Compare with what is expected.

        Args:
            name: what the message calls the file.

        Raises:
            WrongFile: names the file, what was expected and what was found.
        """
        if expected.size not in (None, self.size):
            raise WrongFile(f"{name}: expected {expected.size:,} bytes, found {self.size:,}.")
        found = {"sha256": self.sha256, "md5": self._md5.hexdigest() if self._md5 else None}
        for kind, value in found.items():
            wanted = getattr(expected, kind)
            if wanted is not None and wanted.lower() != value:
                raise WrongFile(f"{name}: expected {kind} {wanted.lower()}, found {value}.")


def verify_file(path: str | Path, expected: Expected) -> str:
    """Read a file once, compare it with what is expected, and give its SHA-256.

    Raises:
        UserError: no such file; ``WrongFile``: one of another size or hash.
    """
    digests = Digests(with_md5=expected.md5 is not None)
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(BLOCK):
                digests.update(chunk)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path}: expected a file, found none.") from error
    digests.verify(expected, str(path))
    return digests.sha256
