"""A level of a U-Net's decoder that has no skip connections, so that all it knows came through the bottleneck."""

from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn


class SkipFreeUpBlock(nn.Module):
    """Stands where diffusers' ``UpBlock2D`` stands, and leaves the encoder's tensors of its level unused.

    Args:
        in_channels, out_channels: of the level below (or of the mid block), and of this level.
        time_channels: of the time embedding.
        layers: residual blocks; as many as the block that it replaces, for so many tensors does the U-Net hand it.
        groups: of the GroupNorms.
        upsample: whether the resolution doubles at the end.
    """

    def __init__(
        self, in_channels: int, out_channels: int, time_channels: int, layers: int, groups: int, upsample: bool
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * layers
        self.resnets = nn.ModuleList(
            ResnetBlock2D(
                in_channels=widths[place], out_channels=out_channels, temb_channels=time_channels, groups=groups
            )
            for place in range(layers)
        )
        self.upsamplers = nn.ModuleList([Upsample2D(out_channels, use_conv=True)] if upsample else [])

    def forward(self, hidden: Tensor, skips: tuple[Tensor, ...], time: Tensor) -> Tensor:
        """``[B, in_channels, h, w]`` to ``[B, out_channels, h, w]``, or twice the sides; ``skips`` is unused."""
        for layer in self.resnets:
            hidden = layer(hidden, time)
        for layer in self.upsamplers:
            hidden = layer(hidden)
        return hidden
