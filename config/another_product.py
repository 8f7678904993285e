"""Data sets of ``config/unlabelled.yaml`` whose pile holds photographs of another product, by mistake.

These photographs stand among the test images as a kind of defect, ``another_product``, from where the key ``pool``
takes them all into the pile, so that the test is the product's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from variad.core.errors import UserError
from variad.datasets.adapters import Entry
from variad.datasets.own_folder import Folder
from variad.datasets.packaged import Elpv

KIND = "another_product"


@dataclass(frozen=True)
class AnotherProduct:
    """A category in MVTec AD's layout, and training images of another one.

    Attributes:
        root: folder below which both data sets lie.
        product: the product's data set, a folder below ``root``.
        other, other_category: the other product's, and its category.
        count: how many of its training images.
    """

    root: Path
    product: str
    other: str
    other_category: str
    count: int = 120

    def entries(self, category: str) -> list[Entry]:
        """The category's images, then the first ones of the other product by name.

        Raises:
            UserError: a folder is missing, or the other product has too few. So for ``Folder``.
        """
        own = Folder(self.root / self.product).entries(category)
        others = Folder(self.root / self.other).entries(self.other_category)
        return [*_below(self.product, own), *mistaken(_below(self.other, others), self.count)]


@dataclass(frozen=True)
class AnotherCell:
    """ELPV with cells of the other kind, which one line may well make; settings as there.

    Attributes:
        count: how many of the other kind's training images.
    """

    train_good: int
    test_good: int
    test_defect: int
    split_seed: int
    count: int = 120

    @property
    def root(self) -> Path:
        """The package's folder."""
        return Elpv().root

    def entries(self, category: str) -> list[Entry]:
        """The category's images, then the first ones of the other kind in file order.

        Raises:
            UserError: the category is unknown, or the other kind has too few. So for ``Elpv``.
        """
        own = Elpv("random", self.train_good, self.test_good, self.test_defect, self.split_seed)
        other = replace(own, train_good=self.count, test_good=0, test_defect=0)
        return [*own.entries(category), *mistaken(other.entries("poly" if category == "mono" else "mono"), self.count)]


def mistaken(entries: Iterable[Entry], count: int) -> list[Entry]:
    """The first training images of a product, as test images of kind ``another_product``.

    Raises:
        UserError: there are fewer.
    """
    found = [Entry("test", KIND, entry.image_path) for entry in entries if entry.split == "train"][:count]
    if len(found) < count:
        raise UserError(
            f"count: expected at most the {len(found)} training images of the other product, found {count}."
        )
    return found


def _below(folder: str, entries: Iterable[Entry]) -> list[Entry]:
    """The same, as seen from one folder further up."""
    return [
        replace(
            entry, image_path=folder / entry.image_path, mask_path=folder / entry.mask_path if entry.mask_path else None
        )
        for entry in entries
    ]
