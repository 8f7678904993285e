"""What EfficientAD trains: a student of the teacher and of an autoencoder, and that autoencoder."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from variad.detectors.efficientad.autoencoder import Autoencoder
from variad.detectors.efficientad.hard_features import hard_feature_loss
from variad.models.pdn import PDN, PDNConfig


class Batch(NamedTuple):
    """One step's images, standardised ``[B, 3, S, S]``, and the teacher's standardised answers ``[B, C, h, h]``.

    ``penalty`` may hold no image, and ``views`` hold none where there is no autoencoder.
    """

    images: Tensor
    answers: Tensor
    views: Tensor
    view_answers: Tensor
    penalty: Tensor


class StudentAndAutoencoder(nn.Module):
    """Student and autoencoder of one teacher.

    The student is the teacher's network with twice the outputs: the first half is to equal the teacher, the second half
    the autoencoder (section 3.3).

    Args:
        config: the teacher's network.
        side: S, pixels.
        autoencoder: whether there is one; without it the student has the first half only.
    """

    def __init__(self, config: PDNConfig, side: int, autoencoder: bool = True) -> None:
        super().__init__()
        self.channels = config.channels
        self.student = PDN(config, 2 * config.channels if autoencoder else None)
        self.autoencoder = Autoencoder(side, config.channels, config.width) if autoencoder else None

    def loss(self, batch: Batch, hard_features: float) -> Tensor:
        """Student-teacher, penalty, autoencoder and student-autoencoder loss (appendix, algorithm 1).

        All three sorts of images go through the student at once, and each only through the half that it is for.
        """
        count, others = len(batch.images), len(batch.images) + len(batch.penalty)
        described = self.student.trunk(torch.cat([batch.images, batch.penalty, batch.views]))
        of_teacher = self._half(described[:others], 0).float()
        loss = hard_feature_loss((of_teacher[:count] - batch.answers).square(), hard_features)
        if len(batch.penalty):
            loss = loss + of_teacher[count:].square().mean()
        if self.autoencoder is None:
            return loss
        rebuilt, of_autoencoder = self.autoencoder(batch.views).float(), self._half(described[others:], 1).float()
        return loss + functional.mse_loss(rebuilt, batch.view_answers) + functional.mse_loss(of_autoencoder, rebuilt)

    def maps(self, images: Tensor, answers: Tensor) -> Tensor:
        """Student-teacher and autoencoder-student map, mean squared differences over channels, ``[2, B, h, h]``.

        Without an autoencoder there is the first alone, ``[1, B, h, h]``.
        """
        found = self.student(images).float()
        of_teacher, of_autoencoder = found[:, : self.channels], found[:, self.channels :]
        maps = [(of_teacher - answers).square().mean(dim=1)]
        if self.autoencoder is not None:
            maps.append((self.autoencoder(images).float() - of_autoencoder).square().mean(dim=1))
        return torch.stack(maps)

    def _half(self, described: Tensor, half: int) -> Tensor:
        head, rows = self.student.head, slice(half * self.channels, (half + 1) * self.channels)
        bias = None if head.bias is None else head.bias[rows]
        return functional.conv2d(described, head.weight[rows], bias)
