"""Between images as they are stored and images as networks take them, and a frozen backbone's features of them."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.images import FeatureMaps, Images
from variad.networks.backbones import Backbone
from variad.networks.gpu_steps import is_cuda


def to_tensor(images: Images, device: str | torch.device = "cpu") -> Tensor:
    """uint8 ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [0, 1], on a device."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)


def to_uint8(images: Tensor) -> Images:
    """``[N, 3, H, W]`` in [0, 1] to uint8 ``[N, H, W, 3]``, rounded."""
    rounded = (images * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def are_grey(images: Tensor) -> Tensor:
    """Whether each of ``[N, 3, H, W]`` has equal channels: bool ``[N]``."""
    return (images == images[:, :1]).flatten(1).all(dim=1)


def prepare(images: Tensor, resolution: int | None, crop: int | None) -> Tensor:
    """Resize ``[N, 3, H, W]`` to ``resolution`` (antialiased) and cut the centre ``crop`` out; None leaves as it is."""
    if resolution is not None and images.shape[-1] != resolution:
        images = functional.interpolate(images, (resolution, resolution), mode="bilinear", antialias=True)
    if crop is not None:
        if crop > images.shape[-1]:
            raise UserError(f"extractor: expected a crop of at most {images.shape[-1]} pixels, found {crop}.")
        start = (images.shape[-1] - crop) // 2
        images = images[..., start : start + crop, start : start + crop]
    return images


def fit(images: Tensor, resolution: int, *, squash: bool = False, interpolation: str = "bicubic") -> Tensor:
    """Bring ``[B, 3, H, W]`` to a square of ``resolution``, antialiased, clamped to [0, 1].

    The shorter side is resized and the centre cut out; ``squash`` ignores the aspect ratio instead. Images that have
    the size already are returned as they are.
    """
    height, width = images.shape[-2:]
    if (height, width) == (resolution, resolution):
        return images
    short = min(height, width)
    rows, columns = (resolution if squash else resolution * side // short for side in (height, width))
    resized = functional.interpolate(images, (rows, columns), mode=interpolation, antialias=True).clamp(0, 1)
    top, left = round((rows - resolution) / 2), round((columns - resolution) / 2)
    return resized[..., top : top + resolution, left : left + resolution]


def feature_maps(backbone: Backbone, images: Tensor) -> FeatureMaps:
    """All layers of the backbone, float32 ``[N, h, w, C]``, of RGB images ``[N, 3, H, W]`` in [0, 1]."""
    with torch.inference_mode():
        return {layer: maps.permute(0, 2, 3, 1).float().cpu().numpy() for layer, maps in backbone(images).items()}


class OnTheWay:
    """Feature maps that a GPU still computes and copies, into pinned memory, while the CPU does something else.

    Args:
        stored: type that they are brought to on the GPU, before the copy.
    """

    def __init__(self, backbone: Backbone, images: Tensor, stored: torch.dtype) -> None:
        self.maps = {}
        with torch.inference_mode():
            for layer, maps in backbone(images).items():
                values = maps.permute(0, 2, 3, 1).to(stored).contiguous()
                self.maps[layer] = torch.empty(values.shape, dtype=stored, pin_memory=True)
                self.maps[layer].copy_(values, non_blocking=True)
        self.end = torch.cuda.Event()
        self.end.record()

    def arrived(self) -> FeatureMaps:
        """The maps, as soon as they are there."""
        self.end.synchronize()
        return {layer: values.numpy() for layer, values in self.maps.items()}


def batches_of_features(
    backbone: Backbone,
    batches: Iterable[Images],
    resolution: int | None = None,
    crop: int | None = None,
    device: str = "cpu",
    stored_as: str = "float32",
) -> Iterator[FeatureMaps]:
    """Features of batches of images, uint8 ``[B, S, S, 3]``, one after another.

    A GPU computes a batch while the one before is being used.

    Args:
        stored_as: type of the numbers, ``float32`` or ``float16``.
    """
    before: OnTheWay | None = None
    for batch in batches:
        prepared = prepare(to_tensor(batch, device), resolution, crop)
        if is_cuda(device):
            found = OnTheWay(backbone, prepared, getattr(torch, stored_as))
            if before is not None:
                yield before.arrived()
            before = found
        else:
            maps = feature_maps(backbone, prepared)
            with np.errstate(over="ignore"):  # whoever stores them checks
                yield {layer: values.astype(stored_as, copy=False) for layer, values in maps.items()}
    if before is not None:
        yield before.arrived()


def check_finite(maps: FeatureMaps) -> None:
    """Refuse features that are larger than the type holds that they were brought to.

    Raises:
        UserError: a layer has such features.
    """
    for layer, values in maps.items():
        if values.dtype == np.float16 and not np.isfinite(values).all():
            limit = np.finfo(np.float16).max
            raise UserError(
                f"extractor: expected features of layer {layer} up to {limit} for stored_as float16, "
                "found larger ones; store them as float32."
            )
