"""Training EfficientAD's teacher: a PDN learns a frozen backbone's features on openly licensed images.

Batzner et al. (WACV 2024, section 3.1 and appendix) distil WideResNet-101 on ImageNet; here it is EfficientNet-Lite0
on the images that the shipped VQGAN was trained on, so that everybody may use, and repeat, the result.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from variad.errors import UserError
from variad.models.distillation_target import DistillationTarget
from variad.models.learning_rate import warm_cosine
from variad.models.pdn import PDN, config_of, metadata, standardised
from variad.models.training_crops import TrainingCrops
from variad.models.training_state import descend, load_state, save_state
from variad.models.weights import save_weights
from variad.precision import autocast
from variad.seeding import torch_seed

log = logging.getLogger("variad")


@dataclass(frozen=True)
class TeacherSettings:
    """Settings of one distillation; the defaults made the ``pdn_small`` that ships.

    Attributes:
        network: ``pdn_small``, ``pdn_tiny`` or ``pdn_medium``.
        steps, batch, crop: optimiser steps, crops in a step, side of a crop in pixels.
        learning_rate, warm_up: AdamW's peak rate, reached after ``warm_up`` steps, then a cosine to zero.
        weight_decay: of AdamW.
        stages, enlarge: of the backbone, see ``DistillationTarget``.
        calibration: batches that the target is standardised on.
        grey: share of crops turned grey.
        drawn, drawn_side: number of pictures that are drawn, and their side in pixels.
        every: steps between saved states, and between lines in the log.
        seed: decides the initial weights, the projection and every crop.
    """

    network: str = "pdn_small"
    steps: int = 4000
    batch: int = 4
    crop: int = 128
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 1e-5
    stages: tuple[str, ...] = ("stage2", "stage3")
    enlarge: int = 2
    calibration: int = 32
    grey: float = 0.5
    drawn: int = 240
    drawn_side: int = 256
    every: int = 100
    seed: int = 0


def settings_from(values: Mapping[str, Any], source: str) -> TeacherSettings:
    """Settings from keys of ``TeacherSettings``; others keep their defaults.

    Raises:
        UserError: names ``source`` and an unknown key.
    """
    given = dict(values)
    if "stages" in given:
        given["stages"] = tuple(given["stages"])
    try:
        settings = TeacherSettings(**given)
    except TypeError as error:
        raise UserError(f"{source}: expected settings of distil_teacher, found: {error}.") from error
    config_of(settings.network)
    return settings


class Distillation:
    """The state of a training: weights, optimiser and the next step."""

    def __init__(self, settings: TeacherSettings, target: DistillationTarget) -> None:
        config = config_of(settings.network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(settings.seed, "teacher", "weights"))
            self.model = PDN(config)
        self.model.to(target.device).to(memory_format=torch.channels_last)
        self.settings, self.target = settings, target
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.next_step = 0

    def step(self, images: Tensor) -> Tensor:
        """One optimiser step on RGB images in [0, 1]; returns the mean squared error (the target's variance is 1)."""
        images = images.to(self.target.device, memory_format=torch.channels_last)
        wanted = self.target(images)
        with autocast("bfloat16", self.target.device):
            found = self.model(standardised(images))
        loss = functional.mse_loss(found.float(), wanted)
        s = self.settings
        rate = warm_cosine(self.next_step, s.learning_rate, s.warm_up, s.steps)
        descend(loss, self.model, self.optimiser, rate)
        self.next_step += 1
        return loss.detach()

    def save(self, path: Path) -> None:
        """Write all that a killed training needs to go on."""
        state = {
            "step": self.next_step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        save_state(path, str(self.settings), state)

    def resume(self, path: Path) -> None:
        """Go on from a file of ``save``.

        Raises:
            UserError: the file belongs to other settings.
        """
        state = load_state(path, str(self.settings))
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.next_step = state["step"]


def distil_teacher(path: str | Path, settings: TeacherSettings | None = None, device: str = "cpu") -> None:
    """Train a PDN and write its weights as half-precision safetensors to ``path``.

    While it runs its state lies beside ``path`` (``.state.pt``), from which a killed training goes on. Equal settings,
    thread count and version of torch give equal bytes on one machine, whether it was killed in between or not.
    """
    settings, path = settings or TeacherSettings(), Path(path)
    crops, target = training_material(settings, device)
    training, state = Distillation(settings, target), path.with_suffix(".state.pt")
    if state.is_file():
        training.resume(state)
    total = torch.zeros((), device=device)
    steps = range(training.next_step, settings.steps)
    for step in tqdm(steps, desc="distil_teacher", disable=None, mininterval=5):
        total += training.step(unit_range(crops.batch(settings.batch, step)))
        if (step + 1) % settings.every == 0:
            error = total.item() / settings.every
            log.info("step %d of %d: unexplained variance %.4f", step + 1, settings.steps, error)
            total.zero_()
            training.save(state)
    save_weights(path, training.model.state_dict(), metadata(training.model.config))
    state.unlink(missing_ok=True)


def training_material(settings: TeacherSettings, device: str = "cpu") -> tuple[TrainingCrops, DistillationTarget]:
    """The crops that a teacher sees, and what it has to say of them."""
    crops = TrainingCrops(settings.seed, settings.crop, settings.grey, settings.drawn, settings.drawn_side)
    channels = config_of(settings.network).channels
    target = DistillationTarget(settings.stages, channels, settings.enlarge, settings.seed, device)
    target.calibrate(unit_range(crops.batch(settings.batch, -1 - place)) for place in range(settings.calibration))
    return crops, target


def unit_range(crops: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (crops + 1) / 2
