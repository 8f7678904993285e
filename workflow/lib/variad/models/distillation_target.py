"""What a distilled teacher has to say of each patch: a frozen backbone's features, on the grid of a PDN's output."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from variad.backbones import LITE0, load_backbone
from variad.models.pdn import RECEPTIVE_FIELD, STRIDE, output_side
from variad.precision import autocast
from variad.seeding import torch_generator


class DistillationTarget:
    """Several stages of EfficientNet-Lite0 at each position of a PDN, standardised and projected.

    Each stage is averaged over 3 x 3 of its positions and interpolated at the centre of each of the PDN's receptive
    fields. Its channels are standardised and scaled so that every stage has the same part of the variance, however many
    channels it has; those of all stages are projected by a fixed orthogonal matrix, and standardised again.

    Args:
        stages: of the backbone, such as ``stage3``.
        channels: of the target.
        enlarge: images are enlarged by this factor for the backbone. With 2 its features come at the PDN's spacing, and
            each sees about the pixels that the PDN sees (Batzner et al. enlarge too: 512 against 256 px).
        seed: decides the projection.
    """

    def __init__(self, stages: Sequence[str], channels: int, enlarge: int, seed: int, device: str = "cpu") -> None:
        self.backbone = load_backbone(LITE0, stages).to(device)
        self.enlarge, self.device = enlarge, device
        widths = torch.tensor(list(self.backbone.channels.values()))
        projection = orthogonal_rows(channels, int(widths.sum()), torch_generator(seed, "teacher", "projection"))
        self.projection = (projection / widths.repeat_interleave(widths).sqrt()).to(device)
        self.offset = torch.zeros(channels, device=device)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Stages at the PDN's positions, ``[B, h, w, sum of C]`` float32, of RGB ``[B, 3, S, S]`` in [0, 1]."""
        side = images.shape[-1]
        larger = functional.interpolate(images.to(self.device), scale_factor=self.enlarge, mode="bilinear")
        with autocast("bfloat16", self.device):
            maps = self.backbone(larger)
        return torch.cat([self._at_centres(maps[name].float(), name, side) for name in maps], dim=-1)

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Fix both standardisations on ``batches`` of images in [0, 1]."""
        rows = torch.cat([self.features(batch).flatten(0, 2) for batch in batches]).double()
        mean, covariance = rows.mean(0), torch.cov(rows.T)
        spread = covariance.diagonal().sqrt()
        matrix = self.projection.double() / spread
        matrix = matrix / ((matrix @ covariance) * matrix).sum(1).sqrt()[:, None]
        self.projection, self.offset = matrix.float(), -(matrix @ mean).float()

    def __call__(self, images: Tensor) -> Tensor:
        """Targets ``[B, channels, h, w]``; over the calibration's images each channel has mean 0 and variance 1."""
        return functional.linear(self.features(images), self.projection, self.offset).permute(0, 3, 1, 2)

    def _at_centres(self, values: Tensor, stage: str, side: int) -> Tensor:
        averaged = functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)
        matrix = centre_matrix(side, self.backbone.strides[stage], self.enlarge, values.shape[-1])
        sampling = torch.from_numpy(matrix).float().to(values.device)
        return torch.einsum("hi,bcij,wj->bhwc", sampling, averaged, sampling)


def centre_matrix(side: int, stride: int, enlarge: int, positions: int) -> NDArray[np.float64]:
    """Linear interpolation of a stage's positions at the PDN's centres, ``[output_side(side), positions]``.

    The PDN's position m is centred on pixel 16 + 4 m. The backbone pads as TensorFlow does, at the end, so its position
    i is centred on pixel ``stride * (i + 1) - 1`` of the enlarged image.
    """
    pixel = RECEPTIVE_FIELD // 2 + STRIDE * np.arange(output_side(side))
    centres = (enlarge * (pixel + 0.5) - 0.5 + 1) / stride - 1
    centres = np.clip(centres, 0, positions - 1)
    left = np.minimum(np.floor(centres).astype(int), max(positions - 2, 0))
    rows, matrix = np.arange(len(centres)), np.zeros((len(centres), positions))
    matrix[rows, left] = 1 - (centres - left)
    matrix[rows, np.minimum(left + 1, positions - 1)] += centres - left
    return matrix


def orthogonal_rows(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix ``[rows, columns]`` with orthonormal rows, or columns where these are fewer."""
    gaussian = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(gaussian).Q.float()
    return basis if rows >= columns else basis.T.contiguous()
