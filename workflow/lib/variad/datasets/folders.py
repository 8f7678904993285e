"""Published data sets whose folders say what their images are: MVTec AD, BTAD, VisA and MVTec LOCO AD."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from variad.core.errors import UserError
from variad.datasets.adapters import (
    BTAD_INNER,
    Entry,
    Split,
    category_folder,
    expected_images,
    images_by_stem,
    subfolders,
)
from variad.datasets.masks import DEFECTS_CONFIG, Saturation, read_saturations
from variad.datasets.own_folder import Folder

# the group of each category: the first document's tables 6 to 13, and the caption of its table 14
MVTEC_AD_GROUPS = {
    "bottle": "object",
    "cable": "object",
    "capsule": "object",
    "carpet": "texture",
    "grid": "texture",
    "hazelnut": "object",
    "leather": "texture",
    "metal_nut": "object",
    "pill": "object",
    "screw": "object",
    "tile": "texture",
    "toothbrush": "object",
    "transistor": "object",
    "wood": "texture",
    "zipper": "object",
}
BTAD_GROUPS = {"01": "object", "02": "texture", "03": "object"}
# in the order of Class-1 to Class-5 of the first document's table 15
LOCO_CATEGORIES = ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")
VISA_CATEGORIES = (
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


@dataclass(frozen=True)
class MvtecAd:
    """MVTec AD: 15 kinds of objects and textures, 5,354 photographs, CC BY-NC-SA 4.0; the unpacked archive.

    As ``Folder``, and every test image but the good ones has a mask. Source: Bergmann et al., "The MVTec Anomaly
    Detection Dataset", IJCV 2021.
    """

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test images by folder and name.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing, or a folder is empty.
        """
        home = category_folder(self.root, category, MVTEC_AD_GROUPS, "mvtec_ad")
        expected_images(home / "test" / "good", "good test images")
        # names have one meaning here, whatever they could mean elsewhere
        kinds = {path.name for part in ("train", "test") for path in subfolders(home / part)} - {"good"}
        layout = Folder(self.root, good=("good",), defects=tuple(sorted(kinds)))
        entries = [entry for entry in layout.entries(category) if entry.split != "unlabelled"]
        for entry in entries:
            if entry.label == 1 and entry.mask_path is None:
                mask = home / "ground_truth" / entry.defect / f"{entry.image_path.stem}_mask.png"
                raise UserError(f"{mask}: expected the mask of {entry.image_path.as_posix()}, found no such file.")
        if all(entry.label == 0 for entry in entries):
            raise UserError(f"{home / 'test'}: expected folders of defects, found none.")
        return entries


@dataclass(frozen=True)
class Btad:
    """BTAD, beanTech: three industrial products, 2,830 photographs, CC BY-NC-SA 4.0.

    The unpacked archive, or the folder in it: ``{01|02|03}/train/ok``, ``test/{ok,ko}`` and ``ground_truth/ko``. Images
    and masks are BMP or PNG, whichever the product has; ``ok`` is called ``good`` here, as in the other data sets. The
    products have no names: what prompts call them is assumed. Source: Mishra et al., "VT-ADL", ISIE 2021.
    """

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, good test images, test anomalies, each by name.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing, or a folder is empty.
        """
        inner = self.root / BTAD_INNER
        home = category_folder(inner if inner.is_dir() else self.root, category, BTAD_GROUPS, "btad")
        masks = images_by_stem(home / "ground_truth" / "ko")
        anomalies = expected_images(home / "test" / "ko", "anomalous images")
        for stem, path in anomalies.items():
            if stem not in masks:
                where = home / "ground_truth" / "ko"
                raise UserError(f"{where}: expected a mask {stem}.png or {stem}.bmp of {path.name}, found none.")
        return [
            *_good_entries(self.root, "train", home / "train" / "ok"),
            *_good_entries(self.root, "test", home / "test" / "ok"),
            *(_entry(self.root, "test", "ko", path, masks[stem]) for stem, path in anomalies.items()),
        ]


@dataclass(frozen=True)
class Visa:
    """VisA: 12 kinds of objects, 10,821 photographs, CC BY 4.0; the unpacked archive.

    ``{category}/Data/Images/{Normal,Anomaly}/*.JPG``, ``{category}/Data/Masks/Anomaly/*.png``, and the split of
    one-class methods in ``SPLIT_FILE``; all anomalies are called ``anomaly``. Source: Zou et al.,
    "SPot-the-Difference", ECCV 2022.
    """

    SPLIT_FILE: ClassVar = Path("split_csv") / "1cls.csv"
    COLUMNS: ClassVar = ["object", "split", "label", "image", "mask"]

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test images, each in the order of the split file.

        Raises:
            UserError: the category is unknown, or a folder, the split file, an image or a mask is missing.
        """
        category_folder(self.root, category, VISA_CATEGORIES, "visa")
        entries = [self._entry(row) for row in self._rows() if row["object"] == category]
        if not any(entry.split == "train" for entry in entries):
            raise UserError(f"{self.root / self.SPLIT_FILE}: expected training images of {category}, found none.")
        return sorted(entries, key=lambda entry: entry.split != "train")

    def _rows(self) -> list[dict[str, str]]:
        path = self.root / self.SPLIT_FILE
        if not path.is_file():
            raise UserError(f"{path}: expected the split of data set visa, found no such file.")
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if reader.fieldnames != self.COLUMNS:
                found = ", ".join(reader.fieldnames or ["nothing"])
                raise UserError(f"{path}: expected the columns {', '.join(self.COLUMNS)}, found {found}.")
            return list(reader)

    def _entry(self, row: dict[str, str]) -> Entry:
        if row["split"] not in ("train", "test") or row["label"] not in ("normal", "anomaly"):
            raise UserError(
                f"{self.root / self.SPLIT_FILE}: expected split train or test and label normal or anomaly, "
                f"found {row['split']} and {row['label']} of {row['image']}."
            )
        anomalous = row["label"] == "anomaly"
        for name in (row["image"], row["mask"]) if anomalous else (row["image"],):
            if not name or not (self.root / name).is_file():
                what = f"the file '{name}' that" if name else f"a mask of {row['image']}, which"
                raise UserError(f"{self.root}: expected {what} {self.SPLIT_FILE.as_posix()} lists, found none.")
        split, mask = row["split"], Path(row["mask"]) if anomalous else None
        image = Path(row["image"])
        return Entry("train" if split == "train" else "test", "anomaly" if anomalous else "good", image, mask)


@dataclass(frozen=True)
class MvtecLoco:
    """MVTec LOCO AD: five products with logical and structural anomalies, 3,644 photographs, CC BY-NC-SA 4.0.

    The unpacked archive: ``{category}/{train,validation}/good``,
    ``test/{good,logical_anomalies,structural_anomalies}``, ``ground_truth/{type}/{stem}/000.png`` and on, one mask a
    defect, and ``defects_config.json``. Source: Bergmann et al., "Beyond Dents and Scratches", IJCV 2022.

    Attributes:
        validation: what becomes of ``validation/good``, normal images that the data set holds out of training. With
            ``unused`` they are not in the manifest, so that neither shots nor the test see them; with ``train`` they
            are training normals, whose names then begin with ``validation_``.
    """

    root: Path
    validation: Literal["unused", "train"] = "unused"

    def entries(self, category: str) -> list[Entry]:
        """Training normals, good test images, logical and structural anomalies, each by name.

        The mask of an anomalous image is a folder: all of its defects joined.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing or empty, or the setting or the
                saturations are not valid.
        """
        if self.validation not in ("unused", "train"):
            raise UserError(f"data set mvtec_loco, validation: expected unused or train, found {self.validation!r}.")
        home = self._home(category)
        self.saturations(category)
        entries = _good_entries(self.root, "train", home / "train" / "good")
        if self.validation == "train":
            entries += _good_entries(self.root, "train", home / "validation" / "good", "validation_")
        entries += _good_entries(self.root, "test", home / "test" / "good")
        for kind in ("logical_anomalies", "structural_anomalies"):
            for stem, path in expected_images(home / "test" / kind, "anomalous images").items():
                masks = home / "ground_truth" / kind / stem
                expected_images(masks, f"masks of {path.name}")
                entries.append(_entry(self.root, "test", kind, path, masks))
        return entries

    def saturations(self, category: str) -> dict[int, Saturation]:
        """The saturation of each kind of defect, by the pixel value of its masks."""
        return read_saturations(self._home(category) / DEFECTS_CONFIG)

    def _home(self, category: str) -> Path:
        return category_folder(self.root, category, LOCO_CATEGORIES, "mvtec_loco")


def _good_entries(root: Path, split: Split, folder: Path, prefix: str = "") -> list[Entry]:
    images = expected_images(folder, "normal images")
    return [
        Entry(split, "good", path.relative_to(root), name=f"{prefix}{stem}" if prefix else "")
        for stem, path in images.items()
    ]


def _entry(root: Path, split: Split, defect: str, image: Path, mask: Path | None) -> Entry:
    return Entry(split, defect, image.relative_to(root), mask.relative_to(root) if mask else None)
