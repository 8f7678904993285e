"""From patch distances to an anomaly map at an image's own resolution."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def upsample_maps(patch_maps: Tensor, size: int, sigma: float = 4.0) -> Tensor:
    """Bilinear to ``size`` and Gaussian smoothing, ``[N, h, w]`` to ``[N, size, size]``.

    ``sigma`` is in pixels of ``size``. Source: PatchCore, section 3.3 (sigma = 4).
    """
    maps = functional.interpolate(patch_maps[:, None], (size, size), mode="bilinear", align_corners=False)
    return gaussian_blur(maps, sigma)[:, 0]


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian of ``[N, 1, H, W]``, cut at four sigma, edges reflected."""
    radius = min(math.ceil(4 * sigma), maps.shape[-1] - 1, maps.shape[-2] - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel /= kernel.sum()
    maps = functional.pad(maps, (radius, radius, radius, radius), mode="reflect")
    maps = functional.conv2d(maps, kernel[None, None, None, :])
    return functional.conv2d(maps, kernel[None, None, :, None])


def resize_map(anomaly_map: Tensor, height: int, width: int, image_size: int, crop: int | None = None) -> Tensor:
    """A map ``[s, s]`` to the image's own ``[height, width]``, bilinear.

    Where the extractor cropped, the border that it never saw takes the value of the nearest pixel that it saw.
    """
    maps = anomaly_map[None, None]
    if crop is not None and crop < image_size:
        before = (image_size - crop) // 2
        after = image_size - crop - before
        maps = functional.pad(maps, (before, after, before, after), mode="replicate")
    return functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)[0, 0]
