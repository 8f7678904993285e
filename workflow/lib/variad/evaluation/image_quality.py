"""How near added images are to their parents: SSIM, PSNR, VIF and LPIPS (table 16 of the first paper).

The parent is the shot itself, not the view that was encoded: a flip or a rotation lowers every value here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
    visual_information_fidelity,
)
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Images
from variad.downloads.catalogue import ALEXNET_SHA256
from variad.networks.private_apis import untrained_lpips
from variad.networks.weights import fill, load_checkpoint

COMPARISONS = ("ssim", "psnr", "vif", "lpips")
VIF_SMALLEST_SIDE = 41  # four scales of its filters fit into no less
BATCH_SIZE = 8  # on a CPU larger batches are slower: they leave the cache


def compare_images(images: Images, parents: Images, lpips: nn.Module | None = None) -> dict[str, NDArray[np.float64]]:
    """Full-reference quality of each image, ``[N]`` by name of ``COMPARISONS``.

    Args:
        images, parents: uint8 RGB ``[N, S, S, 3]``; image i is compared with parent i.
        lpips: from ``load_lpips``; None leaves LPIPS NaN.

    Returns:
        ``ssim``: Gaussian window with sigma 1.5, 11 pixels wide, at most 1.
        ``psnr``: decibels, infinite where image and parent are equal.
        ``vif``: pixel domain, noise variance 2 on the scale 0 to 255; 1 for equal images, above 1 where contrast
        rose, NaN where a channel of the parent is flat or a side below ``VIF_SMALLEST_SIDE``.
        ``lpips``: 0 for equal images.
    """
    if images.shape != parents.shape:
        raise UserError(f"added images: expected the shape of their parents, {parents.shape}, found {images.shape}.")
    ours, theirs = (
        torch.from_numpy(np.ascontiguousarray(given)).permute(0, 3, 1, 2).float() for given in (images, parents)
    )
    values = {
        "ssim": structural_similarity_index_measure(ours, theirs, data_range=255.0, reduction="none"),
        "psnr": peak_signal_noise_ratio(ours, theirs, data_range=255.0, reduction="none", dim=(1, 2, 3)),
        "vif": _vif(ours, theirs),
        "lpips": _lpips(ours, theirs, lpips),
    }
    return {name: value.reshape(len(images)).double().numpy() for name, value in values.items()}


def compare_with_parents(
    images: Images, parents: Images, parent_of: Sequence[int], lpips: nn.Module | None = None, size: int = BATCH_SIZE
) -> dict[str, NDArray[np.float64]]:
    """``compare_images`` in batches, with parent ``parent_of[i]`` for image i."""
    rows = np.asarray(parent_of, dtype=np.int64)
    starts = tqdm(range(0, len(images), size), unit="batch", desc="image quality", mininterval=5, disable=None)
    parts = [compare_images(images[at : at + size], parents[rows[at : at + size]], lpips) for at in starts]
    none: list[NDArray[np.float64]] = [np.empty(0)]
    return {name: np.concatenate([part[name] for part in parts] or none) for name in COMPARISONS}


def _vif(images: Tensor, parents: Tensor) -> Tensor:
    if min(images.shape[-2:]) < VIF_SMALLEST_SIDE:
        return torch.full((len(images),), torch.nan)
    # only variances enter; around zero their float32 sums lose less
    value: Tensor = visual_information_fidelity(images - 127.5, parents - 127.5, reduction="none")
    flat = (parents.amax(dim=(2, 3)) == parents.amin(dim=(2, 3))).any(dim=1)  # no information to preserve: 0 / 0
    return value.masked_fill(flat, torch.nan)


def _lpips(images: Tensor, parents: Tensor, lpips: Any) -> Tensor:
    if lpips is None:
        return torch.full((len(images),), torch.nan)
    with torch.inference_mode():
        value: Tensor = lpips(images / 255, parents / 255, normalize=True)
    return value


def load_lpips(path: str | Path, expected_sha256: str = ALEXNET_SHA256) -> nn.Module:
    """LPIPS with the backbone AlexNet, for images ``[N, 3, H, W]`` in [0, 1] with ``normalize=True``.

    AlexNet comes from a local file, the linear heads from torchmetrics, whose public functions would fetch the backbone
    on their own and read it as a pickle. Source: Zhang et al. 2018.

    Args:
        path: torchvision's AlexNet trained on ImageNet.
        expected_sha256: how the file's SHA-256 begins.

    Raises:
        UserError: the file is missing, is another one, or does not hold AlexNet's weights.
    """
    state = load_checkpoint(path)
    found = sha256(path)
    if not found.startswith(expected_sha256):
        raise UserError(f"{path}: expected a file whose sha256 begins with {expected_sha256}, found {found}.")
    net = untrained_lpips()
    convolutions = {
        name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")
    }
    slices = [part for name, part in net.net.named_children() if name.startswith("slice")]  # type: ignore[union-attr]
    # each slice keeps the numbers that its layers have in torchvision's network
    layers = nn.ModuleDict({name: layer for part in slices for name, layer in part.named_children()})
    fill(layers, convolutions, path)
    return net
