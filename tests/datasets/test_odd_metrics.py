"""Figures of folders as people have them equal those of the clean arrays that their files were written from.

Every file of a folder is drawn odd in its own way. The expected figures are scikit-learn's on the arrays themselves;
ours go through the adapter, the manifest, the packed masks and the metrics. The map of an image is the picture itself,
darker being more anomalous, so that a picture that is read wrongly gives another figure.
"""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from variad.core.images import read_image
from variad.core.records import read_masks
from variad.datasets.manifest import index_category, pack_category
from variad.datasets.own_folder import Folder
from variad.evaluation.pixel import evaluate_maps
from variad.evaluation.ranking import image_metrics

Pixels = NDArray[np.uint8]
Writer = Callable[[Path, Pixels], object]
TURNED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def turned(orientation: int) -> Writer:
    """Stored lying, with the tag that says how a viewer turns it upright."""

    def write(path: Path, pixels: Pixels) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).transpose(TURNED[orientation]).save(path, exif=exif)

    return write


def paletted(path: Path, pixels: Pixels) -> None:
    image = Image.fromarray((pixels > 0).astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    image.save(path)


def transparent(path: Path, pixels: Pixels) -> None:
    Image.fromarray(np.dstack([np.zeros((*pixels.shape, 3), np.uint8), pixels])).save(path)


IMAGES: dict[str, tuple[str, Writer]] = {
    "png": (".png", lambda path, pixels: Image.fromarray(pixels).save(path)),
    "capital": (".PNG", lambda path, pixels: Image.fromarray(pixels).save(path, "PNG")),
    "bmp": (".bmp", lambda path, pixels: Image.fromarray(pixels).save(path)),
    "colour": (".png", lambda path, pixels: Image.fromarray(pixels).convert("RGB").save(path)),
    "opaque": (".png", lambda path, pixels: Image.fromarray(pixels).convert("RGBA").save(path)),
    "webp": (".webp", lambda path, pixels: Image.fromarray(pixels).convert("RGB").save(path, lossless=True)),
    "16 bit": (".png", lambda path, pixels: Image.fromarray(pixels.astype(np.uint16) * 257).save(path)),
    "white is zero": (".tif", lambda path, pixels: tifffile.imwrite(path, 255 - pixels, photometric="miniswhite")),
    "16 bit, white is zero": (
        ".tiff",
        lambda path, pixels: tifffile.imwrite(path, 65535 - pixels.astype(np.uint16) * 257, photometric="miniswhite"),
    ),
    **{f"turned {orientation}": (".png", turned(orientation)) for orientation in TURNED},
}
MASKS: dict[str, tuple[str, Writer]] = {
    "png": (".png", lambda path, pixels: Image.fromarray(pixels).save(path)),
    "ones": (".png", lambda path, pixels: Image.fromarray(pixels // 255).save(path)),
    "one bit": (".bmp", lambda path, pixels: Image.fromarray(pixels).convert("1").save(path)),
    "lossy": (".jpg", lambda path, pixels: Image.fromarray(pixels).save(path, quality=85)),
    "palette": (".png", paletted),
    "alpha": (".png", transparent),
    "deep": (".tif", lambda path, pixels: tifffile.imwrite(path, pixels.astype(np.uint32) * 2**20)),
    "share": (".tif", lambda path, pixels: tifffile.imwrite(path, (pixels / 255).astype(np.float32))),
    "white is zero": (".tif", lambda path, pixels: tifffile.imwrite(path, 255 - pixels, photometric="miniswhite")),
}
GOOD, DEFECT = ("good", "Good", "OK", "normal", "defect-free"), ("scratch", "NG", "Kratzer", "defect")
TRUTH, ENDINGS = ("ground_truth", "GT", "masks", "beside"), ("_mask", "_gt", "-mask", "_label", "")


def scene(seed: int, marked: bool) -> tuple[Pixels, Pixels]:
    """A noisy picture ``[40, 56]`` and the mask of its dark defect, which some of the noise is as dark as."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(60, 220, (40, 56), dtype=np.uint8)
    mask = np.zeros_like(pixels)
    if marked:
        top, left = draw.integers(2, 20, 2)
        mask[top : top + draw.integers(6, 14), left : left + draw.integers(6, 14)] = 255
        pixels[mask > 0] -= np.uint8(55)
    return pixels, mask


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_figures_are_those_of_the_clean_arrays(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("odd")
    home, draw = root / "lid", lambda name, values: data.draw(st.sampled_from(sorted(values)), label=name)
    good, defect, truth = draw("good", GOOD), draw("defect", DEFECT), draw("truth", TRUTH)
    seed = data.draw(st.integers(0, 10**6), label="seed")
    clean = {}
    for number in range(7):
        marked = number > 3
        label = defect if marked else good
        pixels, mask = scene(seed + number, marked)
        below = draw("below", ("", "monday", "line 2/früh"))
        name = unicodedata.normalize(draw("form", ("NFC", "NFD")), f"Schlüssel {number}")
        ending, write = IMAGES[draw("image", IMAGES)]
        image = home / ("train" if number == 0 else "test") / label / below / f"{name}{ending}"
        image.parent.mkdir(parents=True, exist_ok=True)
        write(image, pixels)
        if marked:
            ending, write = MASKS[draw("mask", MASKS)]
            where = image.parent if truth == "beside" else home / truth / label / below
            where.mkdir(parents=True, exist_ok=True)
            called = draw("called", ENDINGS[:-1] if truth == "beside" else ENDINGS)
            other = unicodedata.normalize(draw("form of the mask", ("NFC", "NFD")), name)
            write(where / f"{other}{called}{ending}", mask)
        if number:
            clean[number] = (pixels, mask, int(marked))

    manifest = index_category(Folder(root), "lid", "test")
    train = index_category(Folder(root), "lid", "train")
    pack_category(train, root, root / "train.h5", 16, "mine", "lid")
    pack_category(manifest, root, root / "test.h5", 16, "mine", "lid", train=root / "train.h5")
    with h5py.File(root / "test.h5") as file:
        assert len(file["masks"]) > 0
    names = list(manifest["image_id"])
    maps = {}
    for name, path in zip(names, manifest["image_path"], strict=True):
        raw = read_image(root / path)
        grey = raw if raw.ndim == 2 else raw[..., 0]
        maps[name] = -(grey / (257.0 if raw.dtype == np.uint16 else 1.0)).astype(np.float32)
    labels = dict(zip(names, manifest["label"], strict=True))
    masks = read_masks(root / "test.h5", names)
    found, _ = evaluate_maps(maps.items(), labels, masks)
    found |= image_metrics([maps[name].mean() for name in names], [labels[name] for name in names])

    scores = np.concatenate([-pixels.ravel().astype(float) for pixels, _, _ in clean.values()])
    truths = np.concatenate([mask.ravel() > 0 for _, mask, _ in clean.values()])
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truths, scores), abs=1e-9)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truths, scores), abs=1e-9)
    means = [-pixels.astype(float).mean() for pixels, _, _ in clean.values()]
    assert found["image_auroc"] == pytest.approx(roc_auc_score([label for *_, label in clean.values()], means))
