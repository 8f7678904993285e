"""What a small diffusion model is worth: how well images come back from noise, and whether its bottleneck matters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from variad.anomalies.ddim import StyleMix, generate, invert, record_h, timesteps
from variad.core.files import sha256, writing
from variad.core.images import resize_square
from variad.datasets import open_images
from variad.networks.diffusion_models import DiffusionModel, load_diffusion
from variad.networks.vqgan_quality import elpv_cells

Picture = NDArray[np.uint8]

GAMMA, T_EDIT, MIX_STEPS = 0.7, 400, 50  # the second document's
PLAIN_STEPS = 50  # of an inversion without extrapolation, for comparison


def write_quality(
    path: str | Path, weights: str | Path, cells: int = 32, textiles: int = 16, steps: Sequence[int] = (25, 50, 100)
) -> None:
    """Measure a weight file on held-out images and on ELPV, and write JSON with its hash.

    Args:
        cells: ELPV cells of each category. They are not trained on.
        textiles: held-out textiles; of the photographs all held-out parts are measured.
        steps: numbers of DDIM steps of the round trips.
    """
    model = load_diffusion({"kind": "small", "weights": str(weights), "precision": "bfloat16"})
    sets = {
        "elpv_mono": elpv_cells("mono", cells),
        "elpv_poly": elpv_cells("poly", cells),
        "held_out_photographs": open_images.photographs(True),
        "held_out_textiles": open_images.textiles(True)[:textiles],
    }
    quality = {name: measure(model, to_images(pictures, model.resolution), steps) for name, pictures in sets.items()}
    settings = {"gamma": GAMMA, "t_edit": T_EDIT, "steps": MIX_STEPS, "precision": model.precision}
    report = {"sha256": sha256(weights), "mix": settings, "psnr": quality}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def measure(model: DiffusionModel, images: Tensor, steps: Sequence[int]) -> dict[str, Any]:
    """PSNR in decibels of 8-bit images, means over images and the lowest.

    ``round_trip``: images against what inversion and generation with so many steps bring back. ``round_trip_plain``:
    the same where the inversion does not extrapolate. ``mix_to_style``: of each image a mix with the one before it,
    against what comes back of it without a mix. ``mix_to_content``: against the other image.

    Args:
        images: ``[B, 3, R, R]`` in [-1, 1].
    """
    found: dict[str, Any] = {"images": len(images), "round_trip": {}}
    for count in steps:
        found["round_trip"][str(count)] = _psnr(generate(model, invert(model, images, count), count), images)
    plain = invert(model, images, PLAIN_STEPS, extrapolate=False)
    found["round_trip_plain"] = {str(PLAIN_STEPS): _psnr(generate(model, plain, PLAIN_STEPS), images)}
    noise = invert(model, images, MIX_STEPS)
    content = record_h(model, noise.roll(1, 0), MIX_STEPS)
    mixed = generate(model, noise, MIX_STEPS, StyleMix(content, timesteps(model, MIX_STEPS), GAMMA), T_EDIT)
    found["mix_to_style"] = _psnr(mixed, generate(model, noise, MIX_STEPS))
    found["mix_to_content"] = _psnr(mixed, images.roll(1, 0))
    return found


def _psnr(found: Tensor, wanted: Tensor) -> dict[str, float]:
    values = psnr(found, wanted)
    return {"mean": round(float(np.mean(values)), 2), "least": round(min(values), 2)}


def psnr(found: Tensor, wanted: Tensor) -> list[float]:
    """Peak signal-to-noise ratio of each image in decibels, after clipping to [-1, 1] and rounding to 8 bits."""
    first, second = (((images.clamp(-1, 1) + 1) * 127.5).round() for images in (found, wanted))
    return list(peak_signal_noise_ratio(first, second, data_range=255.0, reduction="none", dim=(1, 2, 3)).tolist())


def to_images(pictures: Sequence[Picture], resolution: int) -> Tensor:
    """Pictures uint8 ``[H, W, 3]`` as ``[B, 3, R, R]`` in [-1, 1]."""
    stacked = np.stack([resize_square(picture, resolution) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1
