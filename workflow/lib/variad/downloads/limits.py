"""How much an archive may become, so that a small one cannot fill the disk."""

from dataclasses import dataclass
from pathlib import Path

from variad.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; images hardly compress, so that the data sets stay far below.

    Attributes:
        size: bytes of all files together.
        ratio: times the archive's own bytes.
        ratio_from: bytes that any archive may unpack to, however small it is.
        members: files, folders and links.
    """

    size: int = 64 * 2**30
    ratio: float = 200.0
    ratio_from: int = 64 * 2**20
    members: int = 500_000


class Budget:
    """What is left of the limits for one archive."""

    def __init__(self, limits: Limits, archive: Path) -> None:
        self._archive = archive
        self._limits = limits
        self._largest = min(limits.size, max(limits.ratio_from, int(limits.ratio * archive.stat().st_size)))
        self.members, self.size = 0, 0

    def spend(self, size: int, members: int = 1) -> None:
        """Count members with ``size`` bytes of content, before they are written.

        Raises:
            UserError: the limits are passed, or a size makes no sense.
        """
        self.members += members
        self.size += size
        if self.members > self._limits.members:
            raise UserError(f"{self._archive}: expected at most {self._limits.members:,} members, found more.")
        if size < 0 or self.size > self._largest:
            raise UserError(
                f"{self._archive}: expected an archive of {self._archive.stat().st_size:,} bytes to hold at most"
                f" {self._largest:,} bytes of files, found at least {self.size:,}."
            )
