"""The training loop of EfficientAD (appendix, algorithm 1)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from variad.detectors.efficientad.colour_jitter import draw_jitter, jitter
from variad.detectors.efficientad.networks import Batch, StudentAndAutoencoder
from variad.detectors.efficientad.penalty_images import NONE, PenaltyImages
from variad.detectors.efficientad.settings import EfficientADSettings
from variad.detectors.plateau import Plateau
from variad.fused_adam import FusedAdam
from variad.models.pdn import PDN, standardised
from variad.precision import autocast

BLOCKS = 100  # the loss is looked at so many times in a training
DROP_AT, DROP_TO = 0.95, 0.1


class StandardisedFeatures:
    """A teacher's cached features with standardised channels; the teacher itself is not needed.

    Args:
        mean, std: ``[C]``, of the training images' features.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    def of_features(self, features: Tensor) -> Tensor:
        """From the teacher's own output ``[B, h, h, C]``, as it is cached, to ``[B, C, h, h]``."""
        return (features.permute(0, 3, 1, 2) - self.mean) / self.std


class TeacherAnswers(StandardisedFeatures):
    """A frozen teacher that also answers to images which are not cached; ``mean`` and ``std`` as above."""

    def __init__(self, teacher: PDN, mean: Tensor, std: Tensor) -> None:
        super().__init__(mean, std)
        self.teacher = teacher

    @torch.no_grad()
    def of_images(self, images: Tensor) -> Tensor:
        """From standardised images ``[B, 3, S, S]``."""
        return (self.teacher(images).float() - self.mean) / self.std


class EfficientADTraining:
    """Everything that a training draws from.

    Args:
        images: ``[N, 3, S, S]`` in [0, 1]; features: the teacher's output for them, ``[N, h, h, C]``.
        generator: of torch, decides images and views; penalty_generator: decides the penalty images.
    """

    def __init__(
        self,
        networks: StudentAndAutoencoder,
        answers: TeacherAnswers,
        images: Tensor,
        features: Tensor,
        settings: EfficientADSettings,
        generator: torch.Generator,
        penalty_generator: np.random.Generator,
    ) -> None:
        self.networks, self.answers, self.images, self.features = networks, answers, images, features
        self.settings, self.generator, self.penalty_generator = settings, generator, penalty_generator
        side = images.shape[-1]
        self.penalty = None if settings.penalty == NONE else PenaltyImages(settings.penalty, side)
        self.bank = (
            None
            if settings.views is None or networks.autoencoder is None
            else self._views(self._drawn_images(settings.views))
        )

    def run(self) -> None:
        """Train until the steps are done or the loss no longer falls."""
        s = self.settings
        optimiser = FusedAdam(self.networks.parameters(), s.learning_rate, weight_decay=s.weight_decay)
        plateau, block = Plateau(s.patience), max(1, s.steps // BLOCKS)
        total = torch.zeros((), device=self.images.device)
        self.networks.train()
        progress = tqdm(self._batches(), total=s.steps, desc="efficientad", unit="step", mininterval=5, disable=None)
        for step, batch in enumerate(progress):
            if step == int(DROP_AT * s.steps):
                optimiser.learning_rate *= DROP_TO
            with self.autocast():
                loss = self.networks.loss(batch, s.hard_features)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.detach()
            if (step + 1) % block == 0:
                if s.patience is not None and plateau.reached(total.item() / block):
                    break
                total.zero_()

    def autocast(self) -> torch.autocast:
        """The precision of the networks' products."""
        return autocast(self.settings.precision, self.images.device)

    def _batches(self) -> Iterator[Batch]:
        size = self.settings.batch
        rows = self._drawn_images(self.settings.steps * size).tolist()
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            yield Batch(
                standardised(_channels_last(self.images[chosen])),
                self.answers.of_features(self.features[chosen]),
                *self._views_of(chosen),
                self._penalty(size),
            )

    def _drawn_images(self, count: int) -> Tensor:
        """Rows of images, every image once before any comes again."""
        rounds = -(-count // len(self.images))
        orders = [torch.randperm(len(self.images), generator=self.generator) for _ in range(rounds)]
        return torch.cat(orders)[:count]

    def _views_of(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """A view of each image and the teacher's answer, as many from the bank, or none without autoencoder."""
        if self.networks.autoencoder is None:
            return self.images[:0], self.features[:0]
        return self._views(torch.tensor(rows)) if self.bank is None else self._of_bank(len(rows))

    def _views(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Random views of images, standardised, and the teacher's answers, made in groups of ``batch``."""
        parts = []
        for group in rows.split(self.settings.batch):
            kinds, factors = draw_jitter(len(group), self.generator)
            views = standardised(jitter(_channels_last(self.images[group.tolist()]), kinds, factors))
            with self.autocast():
                parts.append((views, self.answers.of_images(views)))
        if len(parts) == 1:
            return parts[0]
        return torch.cat([views for views, _ in parts]), torch.cat([answers for _, answers in parts])

    def _of_bank(self, count: int) -> tuple[Tensor, Tensor]:
        assert self.bank is not None
        views, answers = self.bank
        chosen = torch.randint(len(views), (count,), generator=self.generator).tolist()
        return views[chosen], answers[chosen]

    def _penalty(self, count: int) -> Tensor:
        if self.penalty is None:
            return self.images[:0]
        drawn = self.penalty.draw(count, self.penalty_generator)
        return standardised(_channels_last(drawn.to(self.images.device, non_blocking=True)))


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
