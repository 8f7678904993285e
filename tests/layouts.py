"""Tiny data sets in the layouts of the published ones: names, suffixes, colour modes and masks as in the archives.

Images show a pattern of their category with a little noise; a defect is a block of another brightness with its mask.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MVTEC_DEFECTS = {"bottle": ("broken_large", "contamination"), "carpet": ("color", "hole"), "grid": ("bent", "thread")}
MVTEC_GREY = ("grid", "screw", "zipper")  # single-channel PNGs

BTAD_SUFFIXES = {"01": (".bmp", ".png"), "02": (".png", ".png"), "03": (".bmp", ".bmp")}  # images, masks

LOCO_DEFECTS = [
    {"defect_name": "missing_object", "pixel_value": 255, "saturation_threshold": 40, "relative_saturation": False},
    {"defect_name": "wrong_ratio", "pixel_value": 254, "saturation_threshold": 0.5, "relative_saturation": True},
    {"defect_name": "contamination", "pixel_value": 253, "saturation_threshold": 1.0, "relative_saturation": True},
    {"defect_name": "huge_object", "pixel_value": 252, "saturation_threshold": 100000, "relative_saturation": False},
]
# pixel values of the masks of each anomalous image, one after another; the last mask overlaps the one before
LOCO_MASKS = {"logical_anomalies": [(255,), (254, 252)], "structural_anomalies": [(253, 253, 255), (253,)]}


@dataclass(frozen=True)
class Size:
    """How large a tree is: images of each kind, and their height and width in pixels."""

    train: int = 3
    good: int = 2
    defective: int = 2
    height: int = 24
    width: int = 32


TINY = Size()


def mvtec_ad(root: Path, categories: tuple[str, ...] = ("bottle", "carpet"), size: Size = TINY) -> Path:
    """``{category}/{train/good,test/{good|defect},ground_truth/{defect}}``; ``size.defective`` images a defect."""
    for name in ("license.txt", "readme.txt"):
        _write(root / name, "CC BY-NC-SA 4.0")
    for category in categories:
        home, draw = root / category, _Artist(category, size, grey=category in MVTEC_GREY)
        _write(home / "license.txt", "CC BY-NC-SA 4.0")
        for number in range(size.train):
            _save(home / "train/good" / f"{number:03}.png", draw.good())
        for number in range(size.good):
            _save(home / "test/good" / f"{number:03}.png", draw.good())
        for defect in MVTEC_DEFECTS.get(category, ("scratch", "stain")):
            for number in range(size.defective):
                image, (mask,) = draw.defective(1)
                _save(home / "test" / defect / f"{number:03}.png", image)
                _save(home / "ground_truth" / defect / f"{number:03}_mask.png", mask)
    return root


def btad(root: Path, categories: tuple[str, ...] = ("01", "02", "03"), size: Size = TINY) -> Path:
    """``BTech_Dataset_transformed/{category}/{train/ok,test/{ok,ko},ground_truth/ko}``, BMP and PNG."""
    inner = root / "BTech_Dataset_transformed"
    for category in categories:
        home, draw = inner / category, _Artist(category, size)
        suffix, mask_suffix = BTAD_SUFFIXES[category]
        for number in range(size.train):
            _save(home / "train/ok" / f"{number:04}{suffix}", draw.good())
        for number in range(size.good):
            _save(home / "test/ok" / f"{number:04}{suffix}", draw.good())
        for number in range(size.defective):
            image, (mask,) = draw.defective(1)
            _save(home / "test/ko" / f"{number:04}{suffix}", image)
            _save(home / "ground_truth/ko" / f"{number:04}{mask_suffix}", mask)
    return root


def mvtec_loco(root: Path, categories: tuple[str, ...] = ("breakfast_box",), size: Size = TINY) -> Path:
    """``{train,validation}/good``, ``test/{good,…_anomalies}``, ``ground_truth/{type}/{stem}/000.png`` and on."""
    for category in categories:
        home, draw = root / category, _Artist(category, size)
        _write(home / "defects_config.json", json.dumps(LOCO_DEFECTS, indent=4))
        for name in ("license.txt", "readme.txt"):
            _write(home / name, "CC BY-NC-SA 4.0")
        for split, number_of in (("train", size.train), ("validation", 2), ("test", size.good)):
            for number in range(number_of):
                _save(home / split / "good" / f"{number:03}.png", draw.good())
        for kind, values in LOCO_MASKS.items():
            for number in range(size.defective):
                chosen = values[number % len(values)]
                image, masks = draw.defective(len(chosen))
                _save(home / "test" / kind / f"{number:03}.png", image)
                for index, (mask, value) in enumerate(zip(masks, chosen, strict=True)):
                    _save(home / "ground_truth" / kind / f"{number:03}" / f"{index:03}.png", mask // 255 * value)
    return root


def visa(root: Path, categories: tuple[str, ...] = ("candle",), size: Size = TINY) -> Path:
    """``{category}/Data/{Images/{Normal,Anomaly},Masks/Anomaly}`` and ``split_csv/1cls.csv``."""
    rows = []
    for category in categories:
        data, draw = Path(category) / "Data", _Artist(category, size)
        for number in range(size.train + size.good):
            path = data / "Images/Normal" / f"{number:04}.JPG"
            _save(root / path, draw.good())
            rows.append((category, "train" if number < size.train else "test", "normal", path.as_posix(), ""))
        for number in range(size.defective):
            path, mask_path = data / "Images/Anomaly" / f"{number:03}.JPG", data / "Masks/Anomaly" / f"{number:03}.png"
            image, (mask,) = draw.defective(1)
            _save(root / path, image)
            _save(root / mask_path, mask // 255 * 3)
            rows.append((category, "test", "anomaly", path.as_posix(), mask_path.as_posix()))
    (root / "split_csv").mkdir(parents=True, exist_ok=True)
    with open(root / "split_csv/1cls.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("object", "split", "label", "image", "mask"), *rows])
    return root


CUB_CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")


def cub(root: Path, size: Size = TINY) -> Path:
    """``CUB_200_2011/images/{class}/*.jpg`` and the text files; ``size.train`` and ``size.good`` images a class."""
    home, lines = root / "CUB_200_2011", _Lines()
    for label, name in enumerate(CUB_CLASSES, start=1):
        lines.add("classes.txt", label, name)
        draw = _Artist(name, size)
        for index in range(size.train + size.good):
            number = lines.count("images.txt") + 1
            path = f"{name}/{name[4:]}_{index:04}_{7000 + number}.jpg"
            _save(home / "images" / path, draw.good())
            lines.add("images.txt", number, path)
            lines.add("image_class_labels.txt", number, label)
            # the real split alternates too
            lines.add("train_test_split.txt", number, int(index % 2 == 0 if index < 2 * size.good else True))
    for name in ("README", "bounding_boxes.txt", "attributes/attributes.txt"):
        _write(home / name, "1 0.0\n")
    lines.write(home)
    return root


def flowers_102(root: Path, classes: int = 3, size: Size = TINY) -> Path:
    """``jpg/image_00001.jpg`` and on, classes in a row, ``imagelabels.mat`` and ``setid.mat`` beside ``jpg``."""
    labels: list[int] = []
    sets: dict[str, list[int]] = {"trnid": [], "valid": [], "tstid": []}
    for label in range(1, classes + 1):
        draw = _Artist(f"flower {label}", size)
        parts = ["trnid"] * (size.train - size.train // 2) + ["valid"] * (size.train // 2) + ["tstid"] * size.good
        for part in parts:
            labels.append(label)
            sets[part].append(len(labels))
            _save(root / "jpg" / f"image_{len(labels):05}.jpg", draw.good())
    savemat(root / "imagelabels.mat", {"labels": np.asarray([labels], np.uint8)})
    savemat(root / "setid.mat", {name: np.asarray([numbers], np.uint16) for name, numbers in sets.items()})
    return root


TINY_IMAGENET_IDS = ("n01443537", "n01629819", "n01641577")


def tiny_imagenet(root: Path, size: Size = Size(height=64, width=64)) -> Path:
    """``tiny-imagenet-200/{train/{wnid}/images,val/images,test/images}``, annotations, ``wnids.txt``, ``words.txt``."""
    home, lines = root / "tiny-imagenet-200", _Lines("\t")
    for wnid in TINY_IMAGENET_IDS:
        draw = _Artist(wnid, size)
        lines.add("wnids.txt", wnid)
        lines.add("words.txt", wnid, f"name of {wnid}, another name")
        for number in range(size.train):
            _save(home / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", draw.good())
            lines.add(f"train/{wnid}/{wnid}_boxes.txt", f"{wnid}_{number}.JPEG", 0, 0, 63, 63)
        for _ in range(size.good):
            name = f"val_{lines.count('val/val_annotations.txt')}.JPEG"
            _save(home / "val/images" / name, draw.good())
            lines.add("val/val_annotations.txt", name, wnid, 0, 0, 63, 63)
    _save(home / "test/images/test_0.JPEG", draw.good())
    lines.add("words.txt", "n00001740", "entity")
    lines.write(home)
    return root


class _Lines:
    """Text files that grow by a line at a time."""

    def __init__(self, separator: str = " ") -> None:
        self.separator = separator
        self.files: dict[str, list[str]] = {}

    def add(self, name: str, *values: object) -> None:
        self.files.setdefault(name, []).append(self.separator.join(map(str, values)))

    def count(self, name: str) -> int:
        return len(self.files.get(name, []))

    def write(self, folder: Path) -> None:
        for name, lines in self.files.items():
            _write(folder / name, "\n".join(lines) + "\n")


class _Artist:
    """Draws the images of one category, always the same ones."""

    def __init__(self, category: str, size: Size, grey: bool = False) -> None:
        self.rng = np.random.default_rng(list(category.encode()))
        self.height, self.width, self.grey = size.height, size.width, grey
        colour, wave = self.rng.uniform(80, 160, 3), self.rng.uniform(0.1, 0.4, 2)
        rows, columns = np.mgrid[: size.height, : size.width]
        self.pattern = colour + 30 * np.sin(wave[0] * rows + wave[1] * columns)[..., None]

    def good(self) -> Pixels:
        noisy = self.pattern + self.rng.normal(0, 6, self.pattern.shape)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
        return image[..., 0] if self.grey else image

    def defective(self, number: int) -> tuple[Pixels, list[Pixels]]:
        """An image and the masks of its defects, 0 and 255; from the third mask on each overlaps the one before."""
        image, masks = self.good(), []
        top, left = 0, 0
        for index in range(number):
            height, width = self.rng.integers(self.height // 5, self.height // 3, 2)
            if index < 2:
                top = int(self.rng.integers(1, self.height // 2 - height)) + index * self.height // 2
                left = int(self.rng.integers(1, self.width - width))
            block = np.zeros((self.height, self.width), np.uint8)
            block[top : top + height, left : left + width] = 255
            image[block > 0] = 255 - image[block > 0]
            masks.append(block)
        return image, masks


def _save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
