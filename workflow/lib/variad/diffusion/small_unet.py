"""The small U-Net that this project trains: diffusers' ``UNet2DModel``, its coarsest levels without skip connections.

In a U-Net so small the skips carry the whole picture, and nothing that is done to the bottleneck shows. Here the
coarsest levels of the decoder get none, so that what is wider than a few pixels has to pass through the mid block.
"""

from dataclasses import dataclass

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import nn

from variad.diffusion.skip_free import SkipFreeUpBlock
from variad.errors import UserError


@dataclass(frozen=True)
class SmallUNetConfig:
    """Shape of the network.

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
    for place in range(config.skip_free_levels):
        unet.up_blocks[place] = _skip_free(config, place)
    return unet


def _skip_free(config: SmallUNetConfig, place: int) -> nn.Module:
    """The replacement of ``up_blocks[place]``, counted from the coarsest."""
    coarsest_first = config.channels[::-1]
    return SkipFreeUpBlock(
        in_channels=coarsest_first[max(place - 1, 0)],
        out_channels=coarsest_first[place],
        time_channels=4 * config.channels[0],
        layers=config.layers + 1,
        groups=config.groups,
        upsample=place < len(config.channels) - 1,
    )
