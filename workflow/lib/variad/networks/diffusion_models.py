"""Diffusion models: a network that predicts noise with the schedule it was trained with, and how each kind is loaded.

The kinds are those of the config section ``diffusion_models``: the small U-Net that this project trains, ADM, and any
model in the layout of diffusers, as the folder of a pipeline or network, or by its name on the hub.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from diffusers import DDPMScheduler
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.unets.unet_2d_blocks import UpDecoderBlock2D
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.core.precision import Arithmetic
from variad.networks.adm import load_adm
from variad.networks.group_norm import FrozenGroupNorm, norms_stay_channels_last
from variad.networks.weights import config_from, fill, load_weights

# What diffusers raises where a folder or a repository lacks a file, or holds another one than it expects.
ABSENT = (OSError, ValueError, KeyError, json.JSONDecodeError)
Entry = Mapping[str, Any]
KINDS = ("small", "adm", "diffusers")

# Replaces the mid block's output ``[B, C, h, w]`` at time step ``t`` by a tensor of the same shape.
HEdit = Callable[[Tensor, int], Tensor]


@runtime_checkable
class PerImageEdit(Protocol):
    """An edit that differs from image to image, so that a batch needs its own part of it."""

    def __call__(self, h: Tensor, t: int) -> Tensor: ...

    def part(self, rows: slice) -> Self:
        """The edit of some of the images."""
        ...


@dataclass(frozen=True)
class DiffusionModel:
    """A frozen network in evaluation mode with its schedule.

    Attributes:
        unet: predicts the noise in its first three output channels (ADM's other three are a variance, unused here).
        alphas_cumprod: cumulative products of ``1 - beta``, float64 ``[T]`` on the CPU; noisier as the index grows.
        resolution: side in pixels of the images, which are ``[B, 3, resolution, resolution]`` in [-1, 1].
        skip_free_levels: number of the coarsest levels whose decoder gets no skips; 0 is a plain U-Net.
        precision: of the network's arithmetic; everything outside it is float32.
    """

    unet: UNet2DModel
    alphas_cumprod: Tensor
    resolution: int
    skip_free_levels: int = 0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.unet.parameters()).device

    @property
    def times(self) -> int:
        """Number of time steps T of the training."""
        return len(self.alphas_cumprod)

    def alpha_cumprod(self, t: int) -> float:
        """The cumulative product at ``t``: the share of an image's power that noising keeps; 1 for ``t < 0``."""
        return float(self.alphas_cumprod[t]) if t >= 0 else 1.0

    def epsilon(self, x: Tensor, t: int, h: HEdit | None = None) -> Tensor:
        """The noise that the network sees in ``x`` at time step ``t``, float32 ``[B, 3, R, R]``.

        Args:
            x: noisy images ``[B, 3, R, R]``.
            h: edits the mid block's output on the way; gradients flow through it.
        """
        arithmetic = Arithmetic.of(self.precision, x.device)
        weights = next((weight.dtype for weight in self.unet.parameters()), x.dtype)
        # weights that were cast need no autocast
        around = contextlib.nullcontext() if weights == torch.bfloat16 else arithmetic.autocast(x.device)
        with edited(self.unet, h, t), arithmetic.kernels(), around:
            found: Tensor = self.unet(x.to(weights), t).sample
        return found[:, :3].float()


@contextlib.contextmanager
def edited(unet: UNet2DModel, edit: HEdit | None, t: int) -> Iterator[None]:
    """While it is open, ``edit`` replaces the mid block's output; it sees float32 whatever the network computes in."""
    if edit is None:
        yield
        return

    def replace(_module: object, _inputs: object, output: Tensor) -> Tensor:
        return edit(output.float(), t).to(output.dtype)

    hook = unet.mid_block.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()


def linear_alphas_cumprod(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Cumulative products of ``1 - beta``, beta rising along a line from ``first`` to ``last``; float64 ``[steps]``.

    Source: Ho et al., Denoising Diffusion Probabilistic Models (NeurIPS 2020), section 4.
    """
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), dim=0)


def add_noise(images: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """``sqrt(a) * images + sqrt(1 - a) * noise``, ``a`` of ``alphas_cumprod`` being one product per image, ``[B]``."""
    share = alphas_cumprod.to(images.dtype).view(-1, 1, 1, 1)
    return share.sqrt() * images + (1 - share).sqrt() * noise


def load_diffusion(entry: Entry, device: str = "cpu") -> DiffusionModel:
    """The frozen model of a config entry.

    Args:
        entry: ``kind``; ``weights``, for ``small`` a safetensors file of rule train_ddpm, for ``adm`` the official
            checkpoint of the unconditional ImageNet model at 256 px, for ``diffusers`` the folder of a pipeline or
            ``UNet2DModel``, or in its place ``model``, the name of one on the hub; ``resolution`` (null is the model's
            own), ``sha256`` and ``precision``.

    Raises:
        UserError: the weights are missing, have another hash or are another network's, or the resolution does not fit.
    """
    if entry.get("kind") not in KINDS:
        raise UserError(f"diffusion_models: expected kind {', '.join(KINDS)}, found {entry.get('kind')}.")
    name: str | None = entry.get("weights") or entry.get("model")
    if not name:
        raise UserError(f"diffusion_models: expected weights of a model of kind {entry['kind']}, found none.")
    alphas_cumprod, skip_free_levels = linear_alphas_cumprod(), 0
    if entry["kind"] == "small":
        unet, skip_free_levels = _load_small(name, entry.get("sha256"))
    elif entry["kind"] == "adm":
        unet = load_adm(name, entry.get("sha256"))
    else:
        unet, alphas_cumprod = load_pretrained(name)
    factor, own = 2 ** (len(unet.config.block_out_channels) - 1), unet.config.sample_size
    resolution = entry.get("resolution") or (own if isinstance(own, int) else None)
    if resolution is None or resolution % factor:
        raise UserError(f"{name}: expected a resolution that is a multiple of {factor}, found {resolution}.")
    precision: Any = entry.get("precision") or "float32"
    unet = on_device(unet.eval().requires_grad_(False), Arithmetic.of(precision, device), device)
    return DiffusionModel(unet, alphas_cumprod, int(resolution), skip_free_levels, precision)


def on_device(unet: UNet2DModel, arithmetic: Arithmetic, device: str) -> UNet2DModel:
    """The network, frozen, as a device wants it: on a GPU with weights in the precision and norms that keep the layout.

    Torch's own group norm on a GPU knows planes alone; where there is no other, everything lies in planes.
    """
    if not arithmetic.gpu:
        return unet.to(device, memory_format=torch.channels_last)
    for module in list(unet.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, FrozenGroupNorm(child, silu=False))
    last = norms_stay_channels_last(torch.device(device))
    layout = torch.channels_last if last else torch.contiguous_format
    # diffusers' own ``to`` warns of layers to be kept in float32, of which this network has none
    nn.Module.to(unet, device, dtype=arithmetic.weights, memory_format=layout)  # type: ignore[call-overload]
    return unet


def _load_small(path: str, sha256: str | None) -> tuple[UNet2DModel, int]:
    """The network of rule train_ddpm's file, and the number of its levels without skips."""
    state, stored = load_weights(path, sha256)
    config = config_from(SmallUNetConfig, stored, path, "the config of train_ddpm's network")
    unet = build_small_unet(config)
    fill(unet, state, path)
    return unet, config.skip_free_levels


def load_pretrained(name: str) -> tuple[UNet2DModel, Tensor]:
    """The network and its schedule's cumulative products, float64 ``[T]``.

    Args:
        name: a folder, or a name on the hub. The network is in its subfolder ``unet`` or in itself, the schedule in
            ``scheduler`` or in itself; where there is none, it is that of the DDPM paper.

    Raises:
        UserError: there is no such model, it predicts something else than noise, or it is no unconditional image model.
    """
    unet = _network(name)
    if unet.config.in_channels != 3 or unet.config.num_class_embeds or unet.config.class_embed_type:
        raise UserError(f"{name}: expected an unconditional diffusion model of RGB images, found another.")
    return unet, _alphas_cumprod(name)


def _network(name: str) -> UNet2DModel:
    for folder in ("unet", None):
        try:
            config = UNet2DModel.load_config(name, subfolder=folder)
        except ABSENT:
            continue
        if config.get("_class_name") != UNet2DModel.__name__:
            continue
        try:
            return UNet2DModel.from_pretrained(name, subfolder=folder, low_cpu_mem_usage=False)
        except (*ABSENT, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(f"{name}: expected the weights of a diffusion model, found: {reason}.") from error
    raise UserError(f"{name}: expected a folder or a hub's name of a UNet2DModel, found none.")


def _alphas_cumprod(name: str) -> Tensor:
    for folder in ("scheduler", None):
        try:
            scheduler = DDPMScheduler.from_pretrained(name, subfolder=folder)
        except ABSENT:
            continue
        if scheduler.config.prediction_type != "epsilon":
            found = scheduler.config.prediction_type
            raise UserError(f"{name}: expected a diffusion model that predicts epsilon, found {found}.")
        return scheduler.alphas_cumprod.double()
    return linear_alphas_cumprod()


@dataclass(frozen=True)
class SmallUNetConfig:
    """Shape of the small U-Net: diffusers' ``UNet2DModel``, its coarsest levels without skip connections.

    In a U-Net so small the skips carry the whole picture, and nothing that is done to the bottleneck shows. Here the
    coarsest levels of the decoder get none, so that what is wider than a few pixels has to pass through the mid block.

    Attributes:
        resolution: side of the images in pixels; has to be divisible by ``2 ** (len(channels) - 1)``.
        channels: of each level, finest first; the mid block has the last one's, and its resolution.
        layers: residual blocks of a level of the encoder (the decoder has one more).
        groups: of every GroupNorm; has to divide all channels.
        skip_free_levels: number of the coarsest levels whose decoder gets no skips.
    """

    resolution: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 192)
    layers: int = 1
    groups: int = 8
    skip_free_levels: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON and YAML have lists
        factor = 2 ** (len(self.channels) - 1)
        if self.resolution < factor or self.resolution % factor:
            raise UserError(f"resolution: expected a multiple of {factor} for this network, found {self.resolution}.")
        if any(width % self.groups for width in self.channels):
            raise UserError(f"channels: expected multiples of groups = {self.groups}, found {list(self.channels)}.")
        if not 0 <= self.skip_free_levels <= len(self.channels):
            wanted = f"at most {len(self.channels)}, as many as channels"
            raise UserError(f"skip_free_levels: expected {wanted}, found {self.skip_free_levels}.")


def build_small_unet(config: SmallUNetConfig) -> UNet2DModel:
    """The network with random weights; attention is in the mid block alone."""
    levels = len(config.channels)
    unet = UNet2DModel(
        sample_size=config.resolution,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        norm_num_groups=config.groups,
        attention_head_dim=config.channels[-1] // 4,
    )
    widths = config.channels[::-1]  # of the decoder's blocks, which are counted from the coarsest
    for place in range(config.skip_free_levels):
        unet.up_blocks[place] = SkipFreeUpBlock(
            in_channels=widths[max(place - 1, 0)],
            out_channels=widths[place],
            temb_channels=4 * config.channels[0],
            num_layers=config.layers + 1,  # as the block that it replaces: the U-Net hands it so many tensors
            resnet_groups=config.groups,
            add_upsample=place < levels - 1,
        )
    return unet


class SkipFreeUpBlock(UpDecoderBlock2D):  # type: ignore[misc]
    """Stands where diffusers' ``UpBlock2D`` stands, and leaves the encoder's tensors of its level unused."""

    def forward(self, hidden: Tensor, skips: tuple[Tensor, ...], time: Tensor) -> Tensor:
        """``[B, in_channels, h, w]`` to ``[B, out_channels, h, w]``, or twice the sides; ``skips`` is unused."""
        raised: Tensor = super().forward(hidden, time)
        return raised
