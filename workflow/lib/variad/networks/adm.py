"""ADM, the unconditional ImageNet diffusion model at 256 px, as diffusers' ``UNet2DModel``.

Source: Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis (NeurIPS 2021), appendix I; the checkpoint
is ``256x256_diffusion_uncond.pt`` of OpenAI's guided-diffusion. There the layers of the encoder and of the decoder are
numbered through (``input_blocks.N.M``), and query, key and value of an attention layer are one matrix, whose rows go by
head first and by query, key and value within a head.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from variad.networks.weights import check_keys, check_shape, load_checkpoint

# Names of modules, guided-diffusion's to diffusers': within a residual block, and outside of the numbered layers.
RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
OUTER = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
}


@dataclass(frozen=True)
class AdmConfig:
    """Shape of a network of guided-diffusion; the defaults are the published one's.

    Attributes:
        resolution: side of the images, pixels.
        width, multiples: channels of the first level, and of each level as multiples of it, finest first.
        layers: residual blocks of a level of the encoder.
        attention: sides in pixels of the levels with attention.
        head: channels of an attention head.
        groups: of the GroupNorms.
    """

    resolution: int = 256
    width: int = 256
    multiples: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    layers: int = 2
    attention: tuple[int, ...] = (32, 16, 8)
    head: int = 64
    groups: int = 32

    @property
    def attends(self) -> list[bool]:
        """Of each level, finest first, whether it has attention."""
        return [self.resolution // 2**level in self.attention for level in range(len(self.multiples))]


def build_adm(config: AdmConfig | None = None) -> UNet2DModel:
    """The network with random weights: predicts noise in channels 0 to 2, a variance in 3 to 5."""
    config = config or AdmConfig()
    down = ["AttnDownBlock2D" if attends else "ResnetDownsampleBlock2D" for attends in config.attends]
    up = ["AttnUpBlock2D" if attends else "ResnetUpsampleBlock2D" for attends in reversed(config.attends)]
    return UNet2DModel(
        sample_size=config.resolution,
        out_channels=6,
        block_out_channels=tuple(config.width * multiple for multiple in config.multiples),
        layers_per_block=config.layers,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        downsample_type="resnet",
        upsample_type="resnet",
        attention_head_dim=config.head,
        norm_num_groups=config.groups,
        attn_norm_num_groups=config.groups,  # the mid block would have none
        resnet_time_scale_shift="scale_shift",
    )


def load_adm(path: str | Path, sha256: str | None = None, config: AdmConfig | None = None) -> UNet2DModel:
    """The network with the weights of an official checkpoint, float32.

    Raises:
        UserError: the file is missing, has another hash, is no checkpoint of tensors, or is another network's: names
            the first three keys that are missing or unknown, or the first tensor of another shape.
    """
    config = config or AdmConfig()
    with torch.device("meta"):
        unet = build_adm(config)
    state, own = load_checkpoint(path, sha256), unet.state_dict()
    names = official_names(config.attends, config.layers, list(own))
    check_keys(state, names, "ADM", path)
    found: dict[str, Tensor] = {}
    for key, targets in names.items():
        parts = _by_head(state[key], config.head) if len(targets) == 3 else [state[key]]
        for target, part in zip(targets, parts, strict=True):
            plain = part.squeeze(-1) if part.dim() == 3 else part  # a convolution over positions is a matrix here
            check_shape(plain, own[target].shape, key, path)
            found[target] = plain.float()
    unet.load_state_dict(found, assign=True)
    return unet


def _by_head(matrix: Tensor, head: int) -> list[Tensor]:
    """Query, key and value of a joint matrix ``[heads * 3 * head, ...]``; as it is where it cannot be so."""
    if len(matrix) % (3 * head):
        return [matrix] * 3
    rows = matrix.reshape(-1, 3, head, *matrix.shape[1:])
    return [rows[:, place].reshape(-1, *matrix.shape[1:]) for place in range(3)]


def official_names(attends: list[bool], layers: int, own: list[str]) -> dict[str, list[str]]:
    """For each official key the names of diffusers that share it: one, or those of query, key and value.

    Args:
        own: the names of a ``UNet2DModel``.
    """
    modules = OUTER | dict(_encoder(attends, layers)) | dict(_decoder(attends, layers))
    leaves: dict[str, list[str]] = {}
    for official, module in modules.items():
        for inner, parts in _inner(module):
            for leaf in ("weight", "bias"):
                targets = [f"{module}{part}.{leaf}" for part in parts]
                if set(targets) <= set(own):
                    leaves[f"{official}{inner}.{leaf}"] = targets
    return leaves


def _inner(module: str) -> list[tuple[str, list[str]]]:
    """The parts of a module, officially and in diffusers."""
    if ".attentions." in module:
        qkv = [".to_q", ".to_k", ".to_v"]
        return [(".norm", [".group_norm"]), (".qkv", qkv), (".proj_out", [".to_out.0"])]
    if "resnets." in module or "samplers." in module:
        return [(f".{official}", [f".{name}"]) for official, name in RESIDUAL.items()]
    return [("", [""])]


def _encoder(attends: list[bool], layers: int) -> Iterator[tuple[str, str]]:
    number = 1
    for level, attention in enumerate(attends):
        for layer in range(layers):
            yield f"input_blocks.{number}.0", f"down_blocks.{level}.resnets.{layer}"
            if attention:
                yield f"input_blocks.{number}.1", f"down_blocks.{level}.attentions.{layer}"
            number += 1
        if level < len(attends) - 1:
            yield f"input_blocks.{number}.0", f"down_blocks.{level}.downsamplers.0"
            number += 1


def _decoder(attends: list[bool], layers: int) -> Iterator[tuple[str, str]]:
    number = 0
    for level, attention in enumerate(reversed(attends)):
        for layer in range(layers + 1):
            yield f"output_blocks.{number}.0", f"up_blocks.{level}.resnets.{layer}"
            if attention:
                yield f"output_blocks.{number}.1", f"up_blocks.{level}.attentions.{layer}"
            if layer == layers and level < len(attends) - 1:
                yield f"output_blocks.{number}.{1 + attention}", f"up_blocks.{level}.upsamplers.0"
            number += 1
