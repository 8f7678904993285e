"""EfficientAD's autoencoder: an image, through 64 numbers, to a teacher's output (Batzner et al., 2024, table 8)."""

import itertools
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from variad.models.pdn import output_side

LATENT = 64
HALVINGS = 5
# Sides of the maps between the decoder's layers at 256 px: 3, 8, 15, 32, 63 and 127.
STEPS: tuple[Callable[[int], int], ...] = (
    lambda side: side // 64 - 1,
    lambda side: side // 32,
    lambda side: side // 16 - 1,
    lambda side: side // 8,
    lambda side: side // 4 - 1,
    lambda side: side // 2 - 1,
)


class Autoencoder(nn.Module):
    """Images ``[B, 3, S, S]``, standardised, to ``[B, channels, h, h]`` on the PDN's grid, ``h = output_side(S)``.

    The bottleneck covers the whole image at every resolution (8 x 8 positions at 256 px), so that the autoencoder
    cannot copy what it sees.

    Args:
        side: S, pixels, at least 64.
        channels: of the teacher.
        width: multiplies the channels of the layers between; the bottleneck keeps its 64.
        dropout: behind each of the decoder's first six convolutions, in training.
    """

    def __init__(self, side: int, channels: int, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        narrow, wide = max(1, int(32 * width)), max(1, int(64 * width))
        self.sides = [max(1, step(side)) for step in STEPS]
        self.output, self.dropout = output_side(side), dropout
        widths = [3, narrow, narrow, wide, wide, wide]
        halvings = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(widths)]
        self.encoder = nn.ModuleList([*halvings, nn.Conv2d(wide, LATENT, side // 2**HALVINGS)])
        inputs = [LATENT] + [wide] * (len(STEPS) - 1)
        self.decoder = nn.ModuleList(nn.Conv2d(inside, wide, 4, padding=2) for inside in inputs)
        self.before_last, self.last = nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """The teacher's output as far as 64 numbers can tell it."""
        x = images
        for layer in self.encoder[:-1]:
            x = functional.relu(layer(x), inplace=True)
        x = self.encoder[-1](x)
        for layer, side in zip(self.decoder, self.sides, strict=True):
            x = functional.relu(layer(_resized(x, side)), inplace=True)
            x = functional.dropout(x, self.dropout, self.training)
        x = functional.relu(self.before_last(_resized(x, self.output)), inplace=True)
        found: Tensor = self.last(x)
        return found


def _resized(x: Tensor, side: int) -> Tensor:
    return functional.interpolate(x, (side, side), mode="bilinear")
