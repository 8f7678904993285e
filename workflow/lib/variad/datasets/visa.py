"""VisA: 12 kinds of objects, 10,821 photographs, CC BY 4.0.

Source: Zou et al., "SPot-the-Difference", ECCV 2022. ``{category}/Data/Images/{Normal,Anomaly}/*.JPG``,
``{category}/Data/Masks/Anomaly/*.png``, and the split in ``split_csv/1cls.csv`` (object, split, label, image, mask).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from variad.datasets.interface import Entry
from variad.datasets.listing import category_folder
from variad.errors import UserError

CATEGORIES = (
    "candle",
    "capsules",
    "cashew",
    "chewinggum",
    "fryum",
    "macaroni1",
    "macaroni2",
    "pcb1",
    "pcb2",
    "pcb3",
    "pcb4",
    "pipe_fryum",
)

SPLIT_FILE = Path("split_csv") / "1cls.csv"
COLUMNS = ["object", "split", "label", "image", "mask"]


@dataclass(frozen=True)
class Visa:
    """The unpacked archive, split as one-class methods use it; all anomalies are called ``anomaly``."""

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test images, each in the order of the split file.

        Raises:
            UserError: the category is unknown, or a folder, the split file, an image or a mask is missing.
        """
        category_folder(self.root, category, CATEGORIES, "visa")
        entries = [self._entry(row) for row in self._rows() if row["object"] == category]
        if not any(entry.split == "train" for entry in entries):
            raise UserError(f"{self.root / SPLIT_FILE}: expected training images of {category}, found none.")
        return sorted(entries, key=lambda entry: entry.split != "train")

    def _rows(self) -> list[dict[str, str]]:
        path = self.root / SPLIT_FILE
        if not path.is_file():
            raise UserError(f"{path}: expected the split of data set visa, found no such file.")
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if reader.fieldnames != COLUMNS:
                found = ", ".join(reader.fieldnames or ["nothing"])
                raise UserError(f"{path}: expected the columns {', '.join(COLUMNS)}, found {found}.")
            return list(reader)

    def _entry(self, row: dict[str, str]) -> Entry:
        if row["split"] not in ("train", "test") or row["label"] not in ("normal", "anomaly"):
            raise UserError(
                f"{self.root / SPLIT_FILE}: expected split train or test and label normal or anomaly, "
                f"found {row['split']} and {row['label']} of {row['image']}."
            )
        anomalous = row["label"] == "anomaly"
        for name in (row["image"], row["mask"]) if anomalous else (row["image"],):
            if not name or not (self.root / name).is_file():
                what = f"the file '{name}' that" if name else f"a mask of {row['image']}, which"
                raise UserError(f"{self.root}: expected {what} {SPLIT_FILE.as_posix()} lists, found none.")
        split, mask = row["split"], Path(row["mask"]) if anomalous else None
        image = Path(row["image"])
        return Entry("train" if split == "train" else "test", "anomaly" if anomalous else "good", image, mask)
