"""BTAD, beanTech: three industrial products, 2,830 photographs, CC BY-NC-SA 4.0.

Source: Mishra et al., "VT-ADL", ISIE 2021. ``{01|02|03}/train/ok``, ``test/{ok,ko}`` and ``ground_truth/ko``; images
and masks are BMP or PNG, whichever the product has. The products have no names: what prompts call them is assumed.
"""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.interface import Entry, Split
from variad.datasets.listing import category_folder, expected_images, images_by_stem
from variad.errors import UserError

# The group of each product: the first document, caption of table 14.
GROUPS = {"01": "object", "02": "texture", "03": "object"}

ARCHIVE_FOLDER = "BTech_Dataset_transformed"  # the folder that the archive holds


@dataclass(frozen=True)
class Btad:
    """The unpacked archive, or the folder in it; ``ok`` is called ``good`` here, as in the other data sets."""

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, good test images, test anomalies, each by name.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing, or a folder is empty.
        """
        inner = self.root / ARCHIVE_FOLDER
        home = category_folder(inner if inner.is_dir() else self.root, category, GROUPS, "btad")
        masks = images_by_stem(home / "ground_truth" / "ko")
        anomalies = expected_images(home / "test" / "ko", "anomalous images")
        for stem, path in anomalies.items():
            if stem not in masks:
                where = home / "ground_truth" / "ko"
                raise UserError(f"{where}: expected a mask {stem}.png or {stem}.bmp of {path.name}, found none.")
        return [
            *self._good("train", home / "train" / "ok"),
            *self._good("test", home / "test" / "ok"),
            *(Entry("test", "ko", self._below(path), self._below(masks[stem])) for stem, path in anomalies.items()),
        ]

    def _good(self, split: Split, folder: Path) -> list[Entry]:
        return [Entry(split, "good", self._below(path)) for path in expected_images(folder, "normal images").values()]

    def _below(self, path: Path) -> Path:
        return path.relative_to(self.root)
