"""What a VQGAN's reconstructions are worth: PSNR, SSIM and use of the codebook on images that it has not seen."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from variad.core.files import sha256, writing
from variad.core.images import read_image, resize_square, to_rgb8
from variad.datasets import open_images
from variad.datasets.packaged import Elpv
from variad.networks.vqgan import VQGAN, load_vqgan

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Quality:
    """Means over images, and the codes that any of them uses.

    Attributes:
        psnr: decibels, of 8-bit RGB.
        ssim: structural similarity, Gaussian windows of sigma 1.5, 8-bit RGB.
        codes: number of different codes in use; ``codes_share``: of the codebook.
        perplexity: exponential of the entropy of the codes' frequencies.
        colour: how much of the colour is kept, 0 none and 1 all: the regression of the reconstructions' differences
            between channels on the images' own; None where all images are grey.
    """

    images: int
    psnr: float
    ssim: float
    codes: int
    codes_share: float
    perplexity: float
    colour: float | None


@torch.no_grad()
def reconstruct(model: VQGAN, picture: Picture) -> tuple[Picture, NDArray[np.int64]]:
    """A picture uint8 ``[H, W, 3]`` through encoder, codebook and decoder, as uint8 again; and its codes."""
    images = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    latent, indices = model.quantise(model.encode(images))
    scaled = ((model.decode(latent)[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(scaled.permute(1, 2, 0).numpy()), indices.numpy().ravel()


def measure(model: VQGAN, pictures: Iterable[Picture]) -> Quality:
    """Quality of the reconstructions of pictures uint8 ``[H, W, 3]``, cut to multiples of the VQGAN's factor."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    psnr, ssim, counts, colour = [], [], np.zeros(model.config.n_embed), np.zeros(2)
    for picture in pictures:
        height, width = (length // model.factor * model.factor for length in picture.shape[:2])
        wanted = picture[:height, :width]
        found, codes = reconstruct(model, wanted)
        psnr.append(peak_signal_noise_ratio(wanted, found))
        ssim.append(structural_similarity(wanted, found, channel_axis=2, gaussian_weights=True, data_range=255))
        counts += np.bincount(codes, minlength=len(counts))
        own, theirs = (picture - picture.mean(axis=2, keepdims=True) for picture in (wanted, found))
        colour += (own * theirs).sum(), (own * own).sum()
    shares = counts[counts > 0] / counts.sum()
    perplexity = float(np.exp(-(shares * np.log(shares)).sum()))
    used = int((counts > 0).sum())
    kept = float(colour[0] / colour[1]) if colour[1] else None
    return Quality(len(psnr), float(np.mean(psnr)), float(np.mean(ssim)), used, used / len(counts), perplexity, kept)


def elpv_cells(category: str, count: int = 100, size: int = 224) -> list[Picture]:
    """The first normal cells of an ELPV category in file order, as detectors see them; uint8 ``[size, size, 3]``."""
    data = Elpv(train_good=None, test_good=0, test_defect=0)  # all normal cells
    paths = [data.root / entry.image_path for entry in data.entries(category)[:count]]
    return [resize_square(to_rgb8(read_image(path)), size) for path in paths]


def write_quality(path: str | Path, weights: str | Path, cells: int = 100, textiles: int = 100) -> None:
    """Measure a weight file on held-out images and on ELPV, and write JSON with its hash.

    Args:
        cells: ELPV cells of each category. They are not trained on.
        textiles: held-out textiles; of the photographs all held-out parts are measured.
    """
    model = load_vqgan(weights)
    mono, poly = elpv_cells("mono", cells), elpv_cells("poly", cells)
    sets = {
        "held_out_photographs": open_images.photographs(True),
        "held_out_textiles": open_images.textiles(True)[:textiles],
        "elpv_mono": mono,
        "elpv_poly": poly,
        "elpv": mono + poly,
    }
    measured = {name: asdict(measure(model, pictures)) for name, pictures in sets.items()}
    quality = {
        name: {key: value if value is None else round(value, 4) for key, value in found.items()}
        for name, found in measured.items()
    }
    report = {"sha256": sha256(weights), "config": asdict(model.config), "quality": quality}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
