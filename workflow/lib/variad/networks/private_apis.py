"""Every use of what torch, taming-transformers, timm and torchmetrics keep to themselves, one function each.

None of it is promised to be there after an update: tests/networks/test_private_apis.py compares each with public
functions and fails where one is gone or means something else. ``variad.core.precision`` asks whether torch has
oneDNN's operations at all; Snakemake's methods are in ``variad.core.private_apis``.
"""

from typing import Any

import torch
from torch import Tensor, nn


def pack_kernel(kernel: Tensor, x_shape: torch.Size, stride: int, padding: int, groups: int) -> Tensor:
    """A kernel ``[D, C / groups, K, K]`` in the order that oneDNN wants for inputs of a shape ``[B, C, H, W]``.

    Relies on ``torch.ops.mkldnn._reorder_convolution_weight``, which torch's own compiler uses.
    """
    around, steps = [padding] * 2, [stride] * 2
    return torch.ops.mkldnn._reorder_convolution_weight(kernel, around, steps, [1, 1], groups, list(x_shape))


def convolve_packed(
    x: Tensor, packed: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int, ceiling: float | None
) -> Tensor:
    """The convolution of ``x`` with a kernel of ``pack_kernel``, clamped to [0, ``ceiling``] where there is one.

    Relies on ``torch.ops.mkldnn._convolution_pointwise``, which torch's own compiler uses.
    """
    after, limits = ("none", []) if ceiling is None else ("hardtanh", [0.0, ceiling])
    around, steps = [padding] * 2, [stride] * 2
    return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, around, steps, [1, 1], groups, after, limits, "")


def give_taming_silu() -> None:
    """Let taming's layers call torch's SiLU: their ``x * sigmoid(x)`` is two passes over memory.

    A fifth of a decoder's time on a CPU. Relies on taming's blocks looking up ``nonlinearity`` in their module.
    """
    from taming.modules.diffusionmodules import model

    model.nonlinearity = nn.functional.silu


def untrained_lpips() -> nn.Module:
    """torchmetrics' LPIPS with its own linear heads and an AlexNet of random weights, in ``net``.

    Relies on ``_NoTrainLpips``: the public functions fetch the backbone on their own and read it as a pickle.
    """
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    return _NoTrainLpips(net="alex", pnet_rand=True)


def has_token_positions(model: Any) -> bool:
    """Whether a timm model is a vision transformer that ``tokens_of`` and its ``blocks`` can be split into."""
    return hasattr(model, "_pos_embed") and getattr(model, "blocks", None) is not None


def tokens_of(model: Any, images: Tensor) -> Tensor:
    """What the first block of a timm vision transformer takes, ``[B, T, D]``, of normalised images ``[B, 3, R, R]``.

    Relies on ``_pos_embed``, which adds positions, class token and registers in the order of the model's own forward.
    """
    tokens: Tensor = model.norm_pre(model._pos_embed(model.patch_embed(images)))
    return tokens
