"""Patch description networks (Batzner et al., WACV 2024, tables 6 and 7), without padding.

Each output position describes 33 x 33 pixels of the input; positions are 4 pixels apart, and the first one is centred
on pixel 16."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError
from variad.networks.gpu_steps import constant
from variad.networks.weights import fill, load_tensors

STRIDE, RECEPTIVE_FIELD = 4, 33
BORDER = 4  # positions that are missing on each side for want of padding
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as the published weights expect
CHANNELS = 384
INNER = {"small": (128, 256), "medium": (256, 512)}


@dataclass(frozen=True)
class PDNConfig:
    """Which network.

    Attributes:
        size: ``small`` (4 convolutions) or ``medium`` (6).
        width: multiplies the number of channels of every layer, 1 in the paper.
        architecture: what a file of weights says about its network, beside the others.
    """

    size: str = "small"
    width: float = 1.0
    architecture: str = "pdn"

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return int(CHANNELS * self.width)


NETWORKS = {
    "pdn_tiny": PDNConfig("small", 0.25),
    "pdn_small": PDNConfig("small"),
    "pdn_medium": PDNConfig("medium"),
}


class PDN(nn.Module):
    """A patch description network.

    Images are ``[B, 3, H, W]``, standardised with ``MEAN`` and ``STD``, sides of at least 36 pixels; the output is
    ``[B, C, h, w]`` with ``h = output_side(H)``. Names of the layers are those of the published weights.

    Args:
        config: which network.
        outputs: channels of the output where they are not the config's, as of a student (twice as many).
    """

    def __init__(self, config: PDNConfig, outputs: int | None = None) -> None:
        super().__init__()
        self.config = config
        last = outputs or config.channels
        first, inner = (int(channels * config.width) for channels in INNER[config.size])
        self.conv1, self.conv2 = nn.Conv2d(3, first, 4), nn.Conv2d(first, inner, 4)
        if config.size == "small":
            self.conv3, self.conv4 = nn.Conv2d(inner, inner, 3), nn.Conv2d(inner, last, 4)
        else:
            self.conv3, self.conv4 = nn.Conv2d(inner, inner, 1), nn.Conv2d(inner, inner, 3)
            self.conv5, self.conv6 = nn.Conv2d(inner, last, 4), nn.Conv2d(last, last, 1)

    @property
    def head(self) -> nn.Conv2d:
        """The last convolution, which no activation follows."""
        return self.conv4 if self.config.size == "small" else self.conv6

    def trunk(self, images: Tensor) -> Tensor:
        """What the head takes."""
        x = functional.avg_pool2d(functional.relu(self.conv1(images), inplace=True), 2)
        x = functional.avg_pool2d(functional.relu(self.conv2(x), inplace=True), 2)
        x = functional.relu(self.conv3(x), inplace=True)
        if self.config.size == "medium":
            x = functional.relu(self.conv4(x), inplace=True)
            x = functional.relu(self.conv5(x), inplace=True)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Patch descriptions of standardised images."""
        described: Tensor = self.head(self.trunk(images))
        return described


def output_side(side: int) -> int:
    """Output positions along a side of ``side`` pixels."""
    return -(-side // STRIDE) - 2 * BORDER


def standardised(images: Tensor) -> Tensor:
    """RGB images ``[B, 3, H, W]`` in [0, 1] as the networks take them."""
    mean, std = (constant(values, images.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def config_of(name: str) -> PDNConfig:
    """The network of a name.

    Raises:
        UserError: no network has that name.
    """
    if name not in NETWORKS:
        raise UserError(f"teacher: expected one of {', '.join(NETWORKS)}, found '{name}'.")
    return NETWORKS[name]


def load_pdn(path: str | Path, name: str) -> PDN:
    """A frozen network with the weights of a local file.

    Args:
        path: safetensors that ``distil_teacher`` wrote, or a PyTorch checkpoint in the layout of the published weights
            (``pretrained_teacher_small.pth``, ``pretrained_teacher_medium.pth``).
        name: of ``NETWORKS``.

    Raises:
        UserError: no such file, not weights, or those of another network (its first three wrong keys, or first shape).
    """
    return frozen_pdn(load_tensors(path), name, path)


def frozen_pdn(tensors: Mapping[str, Tensor], name: str, source: str | Path) -> PDN:
    """A frozen network of tensors that lie in memory.

    Args:
        source: where they are from, for the message.

    Raises:
        UserError: as ``load_pdn``.
    """
    network = PDN(config_of(name))
    fill(network, dict(tensors), source)
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)
