"""The U-Net of guided-diffusion, written from its description: official names, its order of query, key and value."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from variad.networks.adm import AdmConfig


class Residual(nn.Module):
    """Norm, activation, (resize,) convolution; the time embedding scales and shifts the second norm."""

    def __init__(self, channels: int, out: int, time: int, groups: int, resize: str = "") -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, out), nn.SiLU(), nn.Dropout(0), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        self.resize = resize

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize == "down":
            return functional.avg_pool2d(x, 2)
        return functional.interpolate(x, scale_factor=2, mode="nearest") if self.resize == "up" else x

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.in_layers[2](self._resized(self.in_layers[1](self.in_layers[0](x))))
        scale, shift = self.emb_layers(time)[..., None, None].chunk(2, dim=1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        return self.skip_connection(self._resized(x)) + self.out_layers[1:](h)


class HeadsFirstAttention(nn.Module):
    """Self-attention whose joint matrix is split into heads before it is split into query, key and value."""

    def __init__(self, channels: int, head: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        self.head = head

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        flat = x.flatten(2)
        joint = self.qkv(self.norm(flat))
        rows = joint.reshape(len(x) * (joint.shape[1] // (3 * self.head)), 3 * self.head, -1)
        query, key, value = rows.split(self.head, dim=1)
        weight = torch.softmax(torch.einsum("bct,bcs->bts", query, key) / math.sqrt(self.head), dim=-1)
        mixed = torch.einsum("bts,bcs->bct", weight, value).reshape(flat.shape)
        return x + self.proj_out(mixed).reshape(x.shape)


class OfficialUNet(nn.Module):
    """The whole network; every entry of the encoder but the first is a list of layers that take the time embedding."""

    def __init__(self, config: AdmConfig) -> None:
        super().__init__()
        self.config, time = config, 4 * config.width
        widths = [config.width * multiple for multiple in config.multiples]
        self.time_embed = nn.Sequential(nn.Linear(config.width, time), nn.SiLU(), nn.Linear(time, time))
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(3, config.width, 3, padding=1)])])
        channels, skips = config.width, [config.width]
        for level, width in enumerate(widths):
            for _ in range(config.layers):
                self.input_blocks.append(self._block(channels, width, level))
                channels = width
                skips.append(channels)
            if level + 1 < len(widths):
                self.input_blocks.append(nn.ModuleList([Residual(channels, channels, time, config.groups, "down")]))
                skips.append(channels)
        middle = [Residual(channels, channels, time, config.groups) for _ in range(2)]
        self.middle_block = nn.ModuleList([middle[0], self._attention(channels), middle[1]])
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for layer in range(config.layers + 1):
                block = self._block(channels + skips.pop(), width, level)
                channels = width
                if level and layer == config.layers:
                    block.append(Residual(channels, channels, time, config.groups, "up"))
                self.output_blocks.append(block)
        self.out = nn.Sequential(nn.GroupNorm(config.groups, channels), nn.SiLU(), nn.Conv2d(channels, 6, 3, padding=1))

    def _attention(self, channels: int) -> HeadsFirstAttention:
        return HeadsFirstAttention(channels, self.config.head, self.config.groups)

    def _block(self, channels: int, width: int, level: int) -> nn.ModuleList:
        layers: list[nn.Module] = [Residual(channels, width, 4 * self.config.width, self.config.groups)]
        if self.config.resolution // 2**level in self.config.attention:
            layers.append(self._attention(width))
        return nn.ModuleList(layers)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        half = self.config.width // 2
        angle = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half) / half)
        time = self.time_embed(torch.cat([angle.cos(), angle.sin()], dim=1))
        h, skips = self.input_blocks[0][0](x), []
        skips.append(h)
        for block in self.input_blocks[1:]:
            for layer in block:
                h = layer(h, time)
            skips.append(h)
        for layer in self.middle_block:
            h = layer(h, time)
        for block in self.output_blocks:
            h = torch.cat([h, skips.pop()], dim=1)
            for layer in block:
                h = layer(h, time)
        return self.out(h)
