"""ADM, the unconditional ImageNet diffusion model at 256 px, as diffusers' ``UNet2DModel``.

Source: Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis (NeurIPS 2021), appendix I; the checkpoint is
``256x256_diffusion_uncond.pt`` of OpenAI's guided-diffusion.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d import UNet2DModel

from variad.diffusion.adm_keys import converted
from variad.models.weights import load_checkpoint


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
    kinds = [("Attn" if attends else "Resnet") for attends in config.attends]
    names = {
        "Attn": ("AttnDownBlock2D", "AttnUpBlock2D"),
        "Resnet": ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
    }
    return UNet2DModel(
        sample_size=config.resolution,
        out_channels=6,
        block_out_channels=tuple(config.width * multiple for multiple in config.multiples),
        layers_per_block=config.layers,
        down_block_types=tuple(names[kind][0] for kind in kinds),
        up_block_types=tuple(names[kind][1] for kind in reversed(kinds)),
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
        UserError: the file is missing, has another hash, is no checkpoint of tensors, or is another network's.
    """
    config = config or AdmConfig()
    with torch.device("meta"):
        unet = build_adm(config)
    state = converted(load_checkpoint(path, sha256), unet, config.attends, config.layers, config.head, path)
    unet.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return unet
