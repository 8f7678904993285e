"""Training a small diffusion model on openly licensed images: predict the noise that was added to a crop."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.precision import autocast
from variad.core.seeding import torch_generator, torch_seed
from variad.networks.diffusion_models import SmallUNetConfig, add_noise, build_small_unet, linear_alphas_cumprod
from variad.networks.training import TrainingCrops, descend, follow, load_state, save_state, warm_cosine
from variad.networks.weights import save_weights

log = logging.getLogger("variad")


@dataclass(frozen=True)
class DdpmTraining:
    """Settings of one training; the defaults made the weights that ship.

    Attributes:
        steps, batch: optimiser steps, crops in a step; a crop has the network's resolution.
        learning_rate, warm_up: AdamW's peak rate, reached after ``warm_up`` steps, then a cosine to zero.
        weight_average: decay of the averaged weights, which are the ones that are kept.
        grey: share of crops turned grey.
        drawn, drawn_side: number of pictures that are drawn, and their side in pixels.
        every: steps between snapshots, and between lines in the log.
        seed: decides the initial weights, every crop and every noise.
    """

    steps: int = 3000
    batch: int = 16
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_average: float = 0.998
    grey: float = 0.5
    drawn: int = 240
    drawn_side: int = 256
    every: int = 100
    seed: int = 0


def ddpm_training_from(values: Mapping[str, Any], source: str) -> tuple[SmallUNetConfig, DdpmTraining]:
    """Network and settings from keys of ``DdpmTraining`` and, below ``network``, of ``SmallUNetConfig``.

    Raises:
        UserError: names ``source`` and an unknown key.
    """
    given = dict(values)
    network = given.pop("network", None) or {}
    try:
        return SmallUNetConfig(**network), replace(DdpmTraining(), **given)
    except TypeError as error:
        raise UserError(f"{source}: expected settings of train_ddpm, found: {error}.") from error


class DdpmTrainer:
    """The state of a training: weights, their average, optimiser and the next step."""

    def __init__(self, config: SmallUNetConfig, settings: DdpmTraining) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(settings.seed, "ddpm", "weights"))
            self.unet = build_small_unet(config)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.settings = config, settings
        self.average = {name: tensor.clone() for name, tensor in self.unet.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.unet.parameters(), settings.learning_rate, weight_decay=1e-4)
        self.alphas_cumprod = linear_alphas_cumprod()
        self.next_step = 0

    def step(self, images: Tensor) -> float:
        """One optimiser step on images in [-1, 1]; returns the mean square error of the predicted noise."""
        generator = torch_generator(self.settings.seed, "ddpm", "noise", self.next_step)
        noise = torch.randn(images.shape, generator=generator)
        times = spread_times(len(images), len(self.alphas_cumprod), generator)
        noisy = add_noise(images, noise, self.alphas_cumprod[times]).to(memory_format=torch.channels_last)
        with autocast("bfloat16", "cpu"):
            found = self.unet(noisy, times).sample
        loss = functional.mse_loss(found.float(), noise)
        s = self.settings
        descend(loss, self.unet, self.optimiser, warm_cosine(self.next_step, s.learning_rate, s.warm_up, s.steps))
        follow(self.average, self.unet, self.next_step, self.settings.weight_average)
        self.next_step += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Write all that a killed training needs to go on."""
        state = {
            "step": self.next_step,
            "model": self.unet.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        save_state(path, self._made_by(), state)

    def resume(self, path: Path) -> None:
        """Go on from a file of ``save``.

        Raises:
            UserError: the file belongs to other settings.
        """
        state = load_state(path, self._made_by())
        self.unet.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        self.next_step = state["step"]

    def _made_by(self) -> str:
        return f"{self.settings}, {self.config}"


def spread_times(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Time steps, each uniform over ``range(steps)``, spread evenly, for a steadier loss; int64 ``[count]``."""
    share = (torch.rand(1, generator=generator) + torch.arange(count) / count) % 1
    return (share * steps).long().clamp(max=steps - 1)


def train_ddpm(path: str | Path, config: SmallUNetConfig | None = None, settings: DdpmTraining | None = None) -> None:
    """Train a diffusion model and write its averaged weights as half-precision safetensors to ``path``.

    While it runs, a snapshot of the averaged weights lies beside ``path`` (``.snapshot.safetensors``), and so does its
    state (``.state.pt``), from which a killed training goes on. Equal settings, thread count and version of torch give
    equal bytes on one machine, whether it was killed in between or not.
    """
    config, settings = config or SmallUNetConfig(), settings or DdpmTraining()
    path, trainer = Path(path), DdpmTrainer(config, settings)
    state, snapshot = path.with_suffix(".state.pt"), path.with_suffix(".snapshot.safetensors")
    if state.is_file():
        trainer.resume(state)
    crops = TrainingCrops(settings.seed, config.resolution, settings.grey, settings.drawn, settings.drawn_side)
    losses = []
    for step in tqdm(range(trainer.next_step, settings.steps), desc="train_ddpm", disable=None):
        losses.append(trainer.step(crops.batch(settings.batch, step)))
        if (step + 1) % settings.every == 0:
            log.info("step %d of %d: loss %.5f", step + 1, settings.steps, sum(losses) / len(losses))
            losses = []
            trainer.save(state)
            save_weights(snapshot, trainer.average, asdict(config))
    save_weights(path, trainer.average, asdict(config))
    state.unlink(missing_ok=True)
    snapshot.unlink(missing_ok=True)
