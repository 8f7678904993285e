"""Training small networks: the crops of those that ship, a training that can be killed and goes on, and fused Adam.

The crops come from open photographs, simulated textiles and drawn pictures. Most are grey and of low contrast, because
images from production lines often are. Detectors that train a network take ``FusedAdam``, ``Plateau`` and ``seeded``.
"""

import contextlib
import logging
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.adam import adam
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.seeding import numpy_generator
from variad.datasets import open_images
from variad.datasets.open_images import drawn
from variad.networks.weights import config_from, save_weights

PHOTOGRAPH_SHARE, TEXTILE_SHARE, DRAWN_SHARE = 0.46, 0.08, 0.46  # share of the crops that each group gives
LARGEST_NORM = 1.0  # of the gradient
log = logging.getLogger("variad")


@dataclass(frozen=True)
class TrainingSettings:
    """What every training of a shipped network decides.

    Attributes:
        steps, batch: optimiser steps, crops in a step.
        learning_rate, warm_up: AdamW's peak rate, reached after ``warm_up`` steps, then a cosine to zero.
        weight_average: decay of the averaged weights, which are the ones that are kept.
        grey: share of crops turned grey.
        drawn, drawn_side: number of pictures that are drawn, and their side in pixels.
        every: steps between snapshots, and between lines in the log.
        seed: decides the initial weights, every crop and every noise.
    """

    steps: int
    batch: int
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_average: float = 0.998
    grey: float = 0.5
    drawn: int = 240
    drawn_side: int = 256
    every: int = 100
    seed: int = 0


class TrainingCrops:
    """Batches of augmented crops; the same for the same seed and step, in whatever order they are drawn.

    Args:
        settings: ``TrainingSettings``, of which ``seed``, ``grey``, ``drawn`` and ``drawn_side`` count here.
        side: side of a crop, pixels.
    """

    def __init__(self, settings: Any, side: int) -> None:
        self.seed, self.side, self.grey = settings.seed, side, settings.grey
        own = drawn(settings.drawn, settings.drawn_side, numpy_generator(settings.seed, "vqgan", "drawn"))
        groups = (open_images.photographs(False), open_images.textiles(False), own)
        self.groups = [channels_first(group) for group in groups]

    def batch(self, size: int, step: int) -> Tensor:
        """Crops ``[size, 3, side, side]`` in [-1, 1]."""
        generator = numpy_generator(self.seed, "vqgan", "crops", step)
        shares = np.array([PHOTOGRAPH_SHARE, TEXTILE_SHARE, DRAWN_SHARE])
        groups = generator.choice(len(self.groups), size, p=shares / shares.sum())
        crops = [random_crop(self.groups[group], self.side, generator) for group in groups]
        return torch.stack([jitter(crop, self.grey, generator) for crop in crops]) * 2 - 1


def channels_first(pictures: Iterable[NDArray[np.uint8]]) -> list[Tensor]:
    """Pictures uint8 ``[H, W, 3]`` as ``random_crop`` takes them."""
    return [torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in pictures]


class Crop(NamedTuple):
    """A square of one picture, drawn but not cut yet: the picture's number, its place, size before resizing, turns."""

    picture: int
    top: int
    left: int
    size: int
    flipped: list[int]
    transposed: bool


def draw_crop(pictures: list[Tensor], side: int, generator: np.random.Generator) -> Crop:
    """Draw what ``cut`` cuts out of pictures (uint8 ``[3, H, W]``), flipped and transposed at random.

    Its size before resizing is between 0.75 and 3 sides, uniform in its logarithm, as far as the picture is so large.
    """
    number = int(generator.integers(len(pictures)))
    lengths = pictures[number].shape[1:]
    largest = min(lengths)
    size = int(np.exp(generator.uniform(np.log(min(0.75 * side, largest)), np.log(min(3.0 * side, largest)))))
    top, left = (int(generator.integers(length - size + 1)) for length in lengths)
    flipped = [axis for axis in (1, 2) if generator.uniform() < 0.5]
    return Crop(number, top, left, size, flipped, generator.uniform() < 0.5)


def cut(pictures: list[Tensor], side: int, crop: Crop) -> Tensor:
    """The crop that was drawn, ``[3, side, side]`` in [0, 1]."""
    inside = slice(crop.top, crop.top + crop.size), slice(crop.left, crop.left + crop.size)
    window = pictures[crop.picture][None, :, *inside].float() / 255
    found = functional.interpolate(window, (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
    found = found.flip(crop.flipped)
    return found.transpose(1, 2) if crop.transposed else found


def random_crop(pictures: list[Tensor], side: int, generator: np.random.Generator) -> Tensor:
    """``draw_crop`` and ``cut`` at once."""
    return cut(pictures, side, draw_crop(pictures, side, generator))


def jitter(crop: Tensor, grey: float, generator: np.random.Generator) -> Tensor:
    """Grey or colour gains, gamma, sometimes inverted, contrast, brightness, mild noise; ``[3, H, W]`` in [0, 1]."""
    if generator.uniform() < grey:
        crop = crop.mean(0, keepdim=True)
    else:
        crop = crop * torch.from_numpy(generator.uniform(0.8, 1.2, (3, 1, 1))).float()
    crop = crop.clamp(0, 1) ** float(np.exp(generator.uniform(-0.6, 0.6)))
    if generator.uniform() < 0.15:
        crop = 1 - crop
    middle = crop.mean()
    contrast, shift = float(np.exp(generator.uniform(-1.8, 0.3))), generator.uniform(-0.3, 0.3)
    crop = (crop - middle) * contrast + (middle + shift).clamp(0.05, 0.95)
    if generator.uniform() < 0.5:
        crop = crop + torch.from_numpy(generator.normal(0, generator.uniform(0, 0.03), crop.shape)).float()
    return crop.clamp(0, 1).expand(3, -1, -1)


def settings_from(values: Mapping[str, Any], source: str, rule: str, network: Any, settings: Any) -> tuple[Any, Any]:
    """The dataclasses ``network`` and ``settings`` with what a config entry changes: keys of the second, and below
    ``network`` of the first.

    Raises:
        UserError: names ``source`` and an unknown key.
    """
    given = dict(values)
    of_network = given.pop("network", None) or {}
    return (
        config_from(partial(replace, network), of_network, source, f"settings of {rule}"),
        config_from(partial(replace, settings), given, source, f"settings of {rule}"),
    )


class Trainer:
    """The state of a training: weights, their average, optimiser and the next step.

    Args:
        network: to be trained.
        config: its dataclass.
        settings: ``TrainingSettings``.
        optimiser: of the weights that gradients move.
    """

    def __init__(self, network: nn.Module, config: Any, settings: Any, optimiser: torch.optim.Optimizer) -> None:
        self.model: Any = network
        self.config, self.settings, self.optimiser = config, settings, optimiser
        self.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.next_step = 0

    def step(self, images: Tensor) -> dict[str, float]:
        """One optimiser step on images ``[B, 3, H, W]`` in [-1, 1]; returns its loss and what else is to be logged."""
        raise NotImplementedError

    def descend(self, loss: Tensor) -> None:
        """Move the weights, at this step's learning rate, along the gradient of a loss, clipped."""
        s = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = warm_cosine(self.next_step, s.learning_rate, s.warm_up, s.steps)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self.optimiser.step()

    @torch.no_grad()
    def finish_step(self) -> None:
        """Move the averaged weights towards the weights, and go on to the next step.

        The first steps have a shorter memory, so that the initial weights are forgotten.
        """
        keep = min(self.settings.weight_average, (1 + self.next_step) / (10 + self.next_step))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, 1 - keep)
        self.next_step += 1

    def before(self, step: int, crops: TrainingCrops) -> None:
        """Called in front of every step."""

    def state(self) -> dict[str, Any]:
        """All that a killed training needs to go on."""
        model, optimiser = self.model.state_dict(), self.optimiser.state_dict()
        return {"step": self.next_step, "model": model, "average": self.average, "optimiser": optimiser}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.next_step = state["average"], state["step"]

    def run(self, path: str | Path, crops: TrainingCrops, description: str) -> None:
        """Train, and write the averaged weights as half-precision safetensors to ``path``.

        Meanwhile a snapshot of them lies beside it (``.snapshot.safetensors``), and so does the state (``.state.pt``),
        from which a killed training goes on, unless it was damaged. Equal settings, thread count and version of torch
        give equal bytes on one machine, whether it was killed in between or not.

        Raises:
            UserError: the state beside ``path`` belongs to other settings.
        """
        path, s, made_by = Path(path), self.settings, f"{self.settings}, {self.config}"
        saved, snapshot = path.with_suffix(".state.pt"), path.with_suffix(".snapshot.safetensors")
        if saved.is_file() and not _is_whole(saved):
            log.warning("%s: expected the state of a training, found a damaged one; it begins anew", saved)
        elif saved.is_file():
            state = torch.load(saved, weights_only=True)
            if state["settings"] != made_by:
                raise UserError(f"{saved}: expected a training with the same settings, found {state['settings']}.")
            self.resume(state)
        losses: list[dict[str, float]] = []
        for step in tqdm(range(self.next_step, s.steps), desc=description, disable=None):
            self.before(step, crops)
            losses.append(self.step(crops.batch(s.batch, step)))
            if (step + 1) % s.every == 0:
                means = {name: round(fmean(found[name] for found in losses), 5) for name in losses[0]}
                log.info("step %d of %d: %s", step + 1, s.steps, means)
                losses = []
                kept = BytesIO()  # torch says nothing of why a disk took less than it wanted to write
                torch.save({"settings": made_by, **self.state()}, kept)
                with writing(saved) as temporary:
                    temporary.write_bytes(kept.getbuffer())
                save_weights(snapshot, self.average, asdict(self.config))
        save_weights(path, self.average, asdict(self.config))
        saved.unlink(missing_ok=True)
        snapshot.unlink(missing_ok=True)


def _is_whole(saved: Path) -> bool:
    """Whether what torch has saved, a zip, agrees with the checksums in it, which torch does not look at."""
    try:
        with zipfile.ZipFile(saved) as members:
            return members.testzip() is None
    except (zipfile.BadZipFile, OSError, zlib.error, EOFError):
        return False


def warm_cosine(step: int, peak: float, warm_up: int, steps: int) -> float:
    """Rate of step ``step`` of ``steps``: up along a line for ``warm_up`` steps, then half a cosine down to zero."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class FusedAdam:
    """Adam (Kingma & Ba, 2015) with epsilon 1e-8 in one fused pass; equal to ``torch.optim.Adam(fused=True)``.

    That class imports torch's compiler, which takes a second of every process that trains (benchmarks/kernels.csv); its
    functional form does not.

    On a GPU the learning rate is a tensor there, so that a recorded step (``gpu_steps.ReplayedStep``) heeds it.

    Args:
        parameters: leaves on one device; those without a gradient when ``step`` is called stay as they are.
        weight_decay: added to the gradient, times the weights.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.betas, self.weight_decay = betas, weight_decay
        device = self.parameters[0].device
        self._rate: float | Tensor = torch.zeros((), device=device) if device.type == "cuda" else 0.0
        self.learning_rate = learning_rate
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @property
    def learning_rate(self) -> float:
        """Of the steps from now on."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = value
        if isinstance(self._rate, Tensor):
            self._rate.fill_(value)
        else:
            self._rate = value

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters, and forget their gradients."""
        moved = [place for place, parameter in enumerate(self.parameters) if parameter.grad is not None]
        parameters = [self.parameters[place] for place in moved]
        adam(
            parameters,
            [_laid_out_as(parameter) for parameter in parameters],
            [self.first[place] for place in moved],
            [self.second[place] for place in moved],
            [],
            [self.steps[place] for place in moved],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self._rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        for parameter in parameters:
            parameter.grad = None


def _laid_out_as(parameter: Tensor) -> Tensor:
    """A parameter's gradient in the parameter's order in memory: the fused kernel pairs numbers by their place."""
    gradient = parameter.grad
    assert gradient is not None
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)


class Plateau:
    """Says when the mean training loss of an epoch (or of a block of steps) has stopped falling.

    Args:
        patience: epochs without progress after which to stop; None never stops.
        tolerance: part of the best loss's size that counts as progress.
    """

    def __init__(self, patience: int | None, tolerance: float = 0.01) -> None:
        self.patience, self.tolerance = patience, tolerance
        self.best, self.waited = math.inf, 0

    def reached(self, loss: float) -> bool:
        """Take the next loss, and say whether to stop."""
        if self.patience is None:
            return False
        if loss < self.best - self.tolerance * abs(self.best) or math.isinf(self.best):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@contextlib.contextmanager
def seeded(generator: np.random.Generator) -> Iterator[torch.Generator]:
    """A torch generator on the CPU that descends from ``generator``, for a detector that trains a network.

    Within the block torch's global generator, which initialises weights, descends from it too; afterwards it is as it
    was.
    """
    own, shared = (int(seed) for seed in generator.integers(2**63, size=2))
    with torch.random.fork_rng():
        torch.manual_seed(shared)
        yield torch.Generator().manual_seed(own)
