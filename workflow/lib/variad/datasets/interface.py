"""What every data set adapter gives: where the files are, and which of them is what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Split = Literal["train", "test", "unlabelled"]


@dataclass(frozen=True)
class Entry:
    """One image of a category.

    Attributes:
        defect: ``good``, the defect's name, or empty if unlabelled.
        image_path: relative to the data set's root; its stem is the last part of ``image_id``.
        mask_path: relative to the data set's root, or None. A folder stands for all masks in it, which are joined.
        name: last part of ``image_id`` in place of the stem, where two folders make up one and share stems.
    """

    split: Split
    defect: str
    image_path: Path
    mask_path: Path | None = None
    name: str = ""

    @property
    def image_id(self) -> str:
        """``{split}/{defect}/{stem}``, or ``unlabelled/{stem}``."""
        return "/".join(part for part in (self.split, self.defect, self.name or self.image_path.stem) if part)

    @property
    def label(self) -> int | None:
        """0 normal, 1 anomalous, None if unlabelled."""
        if self.split == "unlabelled":
            return None
        return 0 if self.defect == "good" else 1


class Dataset(Protocol):
    """A data set whose files lie below ``root``."""

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        ...

    def entries(self, category: str) -> list[Entry]:
        """Every image of a category: train, test, unlabelled, in a fixed order.

        Raises:
            UserError: the category is unknown, or its files are not there.
        """
        ...
