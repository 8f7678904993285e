"""MVTec LOCO AD: five products with logical and structural anomalies, 3,644 photographs, CC BY-NC-SA 4.0.

Source: Bergmann et al., "Beyond Dents and Scratches", IJCV 2022. ``{category}/{train,validation}/good``,
``test/{good,logical_anomalies,structural_anomalies}``, ``ground_truth/{type}/{stem}/000.png`` and on, one mask a
defect, and ``defects_config.json``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from variad.datasets.interface import Entry, Split
from variad.datasets.listing import category_folder, expected_images
from variad.datasets.saturation import NAME, Saturation, read_saturations
from variad.errors import UserError

# In the order of Class-1 to Class-5 of the first document's table 15.
CATEGORIES = ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")

ANOMALIES = ("logical_anomalies", "structural_anomalies")

Validation = Literal["unused", "train"]


@dataclass(frozen=True)
class MvtecLoco:
    """The unpacked archive.

    Attributes:
        validation: what becomes of ``validation/good``, normal images that the data set holds out of training. With
            ``unused`` they are not in the manifest, so that neither shots nor the test see them; with ``train`` they
            are training normals, whose names then begin with ``validation_``.
    """

    root: Path
    validation: Validation = "unused"

    def entries(self, category: str) -> list[Entry]:
        """Training normals, good test images, logical and structural anomalies, each by name.

        The mask of an anomalous image is a folder: all of its defects joined.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing or empty, or the setting or the
                saturations are not valid.
        """
        if self.validation not in get_args(Validation):
            allowed = " or ".join(get_args(Validation))
            raise UserError(f"data set mvtec_loco, validation: expected {allowed}, found {self.validation!r}.")
        home = self._home(category)
        self.saturations(category)
        entries = self._good("train", home / "train" / "good")
        if self.validation == "train":
            entries += self._good("train", home / "validation" / "good", "validation_")
        entries += self._good("test", home / "test" / "good")
        return entries + [entry for kind in ANOMALIES for entry in self._anomalies(home, kind)]

    def saturations(self, category: str) -> dict[int, Saturation]:
        """The saturation of each kind of defect, by the pixel value of its masks."""
        return read_saturations(self._home(category) / NAME)

    def _home(self, category: str) -> Path:
        return category_folder(self.root, category, CATEGORIES, "mvtec_loco")

    def _good(self, split: Split, folder: Path, prefix: str = "") -> list[Entry]:
        images = expected_images(folder, "normal images")
        return [
            Entry(split, "good", path.relative_to(self.root), name=f"{prefix}{stem}" if prefix else "")
            for stem, path in images.items()
        ]

    def _anomalies(self, home: Path, kind: str) -> list[Entry]:
        entries = []
        for stem, path in expected_images(home / "test" / kind, "anomalous images").items():
            masks = home / "ground_truth" / kind / stem
            expected_images(masks, f"masks of {path.name}")
            entries.append(Entry("test", kind, path.relative_to(self.root), masks.relative_to(self.root)))
        return entries
