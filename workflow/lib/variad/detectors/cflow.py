"""CFlow: likelihood of every patch under a normalising flow conditioned on its position (Gudovskiy et al., WACV 2022).

Each layer has a flow of its own, trained by one Adam step a fibre: a batch of positions drawn from all images. Where
the authors' public code (``CFLOW-AD``, training and scoring) says more than the paper, the code is followed, with two
exceptions: no constant comes from the test set, and permutations are hard, as in anomalib."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.precision import in_bfloat16, products
from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.cflow_coupling import (
    ConditionalFlow,
    FlowShape,
    Parameters,
    PositionCodes,
    initial_parameters,
    log_likelihood,
)
from variad.detectors.interface import (
    COUNT,
    COUNT_OR_NULL,
    PRECISION,
    DetectorInput,
    Range,
    Scored,
    Tensors,
    check_settings,
    is_count,
    is_number,
)
from variad.networks.gpu_steps import ReplayedStep, is_cuda
from variad.networks.training import FusedAdam, Plateau, seeded
from variad.networks.weights import read_tensors, write_tensors

_SCHEDULES = ("cosine", "constant")
_POSITIVE: Range = ("a positive number", lambda value: is_number(value) and value > 0)
_RANGES: dict[str, Range] = {
    "epochs": COUNT,
    "fiber_batch_size": COUNT,
    "coupling_blocks": COUNT,
    "learning_rate": _POSITIVE,
    "clamp": _POSITIVE,
    "warmup_fraction": ("a number in [0, 1)", lambda value: is_number(value) and 0 <= value < 1),
    "condition_size": ("a multiple of 4", lambda value: is_count(value) and value % 4 == 0),
    "patience": COUNT_OR_NULL,
    "schedule": (f"one of {', '.join(_SCHEDULES)}", _SCHEDULES.__contains__),
    "precision": PRECISION,
}
# positions of an image scored at once: few enough for the cache, and the same whatever else is scored with it
_POSITIONS = 256
_POSITIONS_ON_GPU = 2048  # of all images, the last ones filled up, so that no image's numbers depend on the others


class CFlow:
    """One conditional flow a layer; the anomaly map is how unlikely each position is under all of them together.

    Args:
        epochs: passes over all training positions (25 times 8 in the public code).
        fiber_batch_size: positions of an optimiser step, drawn from all images; all of them where there are fewer.
        learning_rate: of Adam, at its highest.
        schedule: ``cosine`` (the public code's) or ``constant``.
        warmup_fraction: part of the training in which the rate rises from a tenth (2 of 25 epochs).
        coupling_blocks: of each flow.
        clamp: largest logarithm of the scale that a block applies.
        condition_size: numbers in a position's code, a multiple of 4.
        patience: epochs without progress of the training loss after which a flow stops early; None never does.
        precision: of the products in training, ``float32``, ``tf32`` or ``bfloat16``; scoring is always in float32.
    """

    uses_images = False
    map_sigma = 0.0  # neither section 4 of the paper nor the public code smooths the map

    def __init__(
        self,
        epochs: int = 200,
        fiber_batch_size: int = 256,
        learning_rate: float = 2e-4,
        schedule: str = "cosine",
        warmup_fraction: float = 0.08,
        coupling_blocks: int = 8,
        clamp: float = 1.9,
        condition_size: int = 128,
        patience: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        self.settings = {name: value for name, value in locals().items() if name not in ("self", "device")}
        check_settings("cflow", self.settings, _RANGES)
        dtype = torch.bfloat16 if in_bfloat16(precision, device) else torch.float32
        self.schedule = FlowSchedule(
            epochs, fiber_batch_size, learning_rate, warmup_fraction, schedule == "cosine", patience, dtype
        )
        self.device = device
        self.layers: dict[str, LayerFlow] = {}

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Train one flow after another; see ``Detector.fit``."""
        total = len(training.features) * self.schedule.epochs
        with (
            # graphs share a state of the GPU's random numbers, which is not to be made in inference mode
            torch.no_grad() if is_cuda(self.device) else torch.inference_mode(),
            tqdm(total=total, desc="cflow", unit="epoch", disable=None, mininterval=5) as bar,
            seeded(generator) as own,
        ):
            for layer, maps in training.features.items():
                given, shape = self._tensor(maps), self._shape(layer, maps.shape[3])
                codes = PositionCodes(maps.shape[1], maps.shape[2], shape.condition, given.device)
                with products(self.settings["precision"], self.device):
                    trained = FlowTraining(given.flatten(0, 2), codes, shape, self.schedule, own).run(bar.update)
                flow = ConditionalFlow(shape, trained.weights, trained.permutations)
                self.layers[layer] = found = LayerFlow(flow, codes, torch.zeros(()))
                found.peak = found.log_likelihood(given).max().double()

    @torch.inference_mode()
    def score(self, images: DetectorInput) -> Scored:
        """Minus the logarithm of the mean relative likelihood of the layers, on the grid of the finest.

        It orders positions as the public code's ``sum of maxima - sum of likelihoods`` does, and unlike that it tells
        very unlikely positions from each other in float32. The image score is the map's maximum. See
        ``Detector.score``.
        """
        height, width = max((maps.shape[1:3] for maps in images.features.values()), key=np.prod)
        likelihoods = [
            flow.log_likelihood(self._tensor(images.features[layer])).double() - flow.peak
            for layer, flow in self.layers.items()
        ]
        maps = -mean_logarithm(likelihoods, height, width)
        return Scored(maps.max(axis=(1, 2)), maps)

    def save(self, path: Path) -> None:
        """Write flows and settings."""
        tensors: dict[str, Tensor] = {}
        grids = {}
        for layer, trained in self.layers.items():
            flow, codes = trained.flow, trained.codes
            grids[layer] = [codes.height, codes.width, flow.shape.channels]
            values = {"weights": flow.weights.flat, "permutations": flow.permutations, "peak": trained.peak}
            tensors |= {f"{layer}.{name}": value.cpu().contiguous() for name, value in values.items()}
        # one entry: the order of several in a safetensors header is not fixed
        model = json.dumps({"settings": self.settings, "layers": grids})
        write_tensors(path, tensors, {"model": model})

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        return cls.from_tensors(*read_tensors(path), device)

    @classmethod
    def from_tensors(cls, tensors: Tensors, metadata: Mapping[str, str], device: str = "cpu") -> Self:
        """See ``BundledDetector.from_tensors``."""
        model = json.loads(metadata["model"])
        detector = cls(**model["settings"], device=device)
        for layer, (height, width, channels) in model["layers"].items():
            names = [f"{layer}.{name}" for name in ("weights", "permutations", "peak")]
            weights, permutations, peak = (torch.as_tensor(tensors[name], device=device) for name in names)
            shape = detector._shape(layer, channels)
            flow = ConditionalFlow(shape, Parameters(shape, weights), permutations)
            codes = PositionCodes(height, width, shape.condition, device)
            detector.layers[layer] = LayerFlow(flow, codes, peak)
        return detector

    def _shape(self, layer: str, channels: int) -> FlowShape:
        if channels < 2:
            raise UserError(f"cflow: expected at least 2 channels in layer {layer}, found {channels}.")
        return FlowShape(
            channels, self.settings["condition_size"], self.settings["coupling_blocks"], self.settings["clamp"]
        )

    def _tensor(self, maps: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(maps)).to(self.device)


def mean_logarithm(logarithms: Sequence[Tensor], height: int, width: int) -> NDArray[np.float32]:
    """Logarithm of the mean of values given by theirs, float64 ``[N, h, w]`` each, on one grid."""
    if is_cuda(logarithms[0].device):
        enlarged = torch.stack([_enlarge_on_gpu(values, height, width) for values in logarithms])
        return (enlarged.logsumexp(dim=0) - math.log(len(logarithms))).float().cpu().numpy()
    mean = np.logaddexp.reduce([enlarge_logarithms(values, height, width) for values in logarithms], axis=0)
    return (mean - np.log(len(logarithms))).astype(np.float32)


def enlarge_logarithms(logarithms: torch.Tensor, height: int, width: int) -> NDArray[np.float64]:
    """Logarithms of the bilinear interpolation of values that are given by theirs, ``[N, h, w]`` to another grid."""
    values: NDArray[np.float64] = logarithms.cpu().numpy()
    if values.shape[1:] == (height, width):
        return values
    with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm -inf, which adds nothing
        rows = np.log(bilinear_matrix(values.shape[1], height))
        columns = np.log(bilinear_matrix(values.shape[2], width))
    values = np.logaddexp.reduce(rows[:, :, None] + values[:, None], axis=2)
    return np.logaddexp.reduce(columns + values[:, :, None], axis=3)


def _enlarge_on_gpu(logarithms: Tensor, height: int, width: int) -> Tensor:
    """``enlarge_logarithms``, with everything on the GPU."""
    if logarithms.shape[1:] == (height, width):
        return logarithms
    rows, columns = (
        torch.from_numpy(bilinear_matrix(*sizes)).to(logarithms.device)
        for sizes in zip(logarithms.shape[1:], (height, width), strict=True)
    )
    values = torch.logsumexp(rows.log()[:, :, None] + logarithms[:, None], dim=2)
    return torch.logsumexp(columns.log() + values[:, :, None], dim=3)


@dataclass(frozen=True)
class FlowSchedule:
    """How a flow is trained: the settings of ``CFlow`` of these names."""

    epochs: int
    fiber_batch_size: int
    learning_rate: float
    warmup_fraction: float
    cosine: bool
    patience: int | None
    dtype: torch.dtype

    def rate(self, part: float) -> float:
        """Learning rate when ``part`` of the training is over, 0 to 1.

        It rises from a tenth along a line for ``warmup_fraction``, then follows half a cosine down to a thousandth.
        """
        if part < self.warmup_fraction:
            risen = part / self.warmup_fraction
            return self.learning_rate / 10 * (1 - risen) + self._decayed(self.warmup_fraction) * risen
        return self._decayed(part)

    def _decayed(self, part: float) -> float:
        if not self.cosine:
            return self.learning_rate
        return self.learning_rate * (0.001 + 0.999 * (1 + math.cos(math.pi * part)) / 2)


@dataclass
class LayerFlow:
    """A trained flow on a fixed grid of positions.

    Attributes:
        peak: largest log-likelihood per channel of a training position, a scalar float64; it makes likelihoods of
            different layers comparable.
    """

    flow: ConditionalFlow
    codes: PositionCodes
    peak: Tensor

    def log_likelihood(self, maps: Tensor) -> Tensor:
        """Log-likelihood per channel of every position of feature maps ``[N, h, w, C]``: ``[N, h, w]``."""
        weights = self.flow.weights
        conditioned = self.codes.project_all(weights.condition, weights.condition_bias)
        if is_cuda(maps.device):
            return self._of_many_images(maps, conditioned)
        values = [
            log_likelihood(*self.flow.forward(features, part.clone())[:2])
            for image in maps.flatten(1, 2)
            for features, part in zip(image.split(_POSITIONS), conditioned.split(_POSITIONS), strict=True)
        ]
        return torch.cat(values).view(maps.shape[:3])

    def _of_many_images(self, maps: Tensor, conditioned: Tensor) -> Tensor:
        positions, grid = maps.flatten(0, 2), len(conditioned)
        filled = -(-len(positions) // _POSITIONS_ON_GPU) * _POSITIONS_ON_GPU
        # products of one size all: a kernel for other sizes may add in another order
        places = torch.arange(filled, device=maps.device).clamp_(max=len(positions) - 1)
        values = [
            log_likelihood(*self.flow.forward(positions[chosen], conditioned[chosen % grid])[:2])
            for chosen in places.split(_POSITIONS_ON_GPU)
        ]
        return torch.cat(values)[: len(positions)].view(maps.shape[:3])


class FlowTraining:
    """A flow while it is trained.

    Args:
        features: all training positions of a layer, row by row, image after image, ``[M, channels]``.
        codes: of the layer's grid, on the device of ``features``.
        generator: on the CPU, so that devices agree.
    """

    def __init__(
        self,
        features: Tensor,
        codes: PositionCodes,
        shape: FlowShape,
        schedule: FlowSchedule,
        generator: torch.Generator,
    ) -> None:
        device = features.device
        weights = initial_parameters(shape, generator)
        permutations = torch.stack([torch.randperm(shape.channels, generator=generator) for _ in range(shape.blocks)])
        weights = Parameters(shape, weights.flat.to(device))
        self.flow = ConditionalFlow(shape, weights, permutations.to(device), schedule.dtype)
        self.features, self.codes, self.schedule, self.generator = features, codes, schedule, generator
        self.gradients = Parameters(shape, torch.zeros_like(weights.flat))
        self.adam = FusedAdam([weights.flat], schedule.learning_rate)
        self.step = ReplayedStep(self._step, device)

    def run(self, after_epoch: Callable[[], object]) -> ConditionalFlow:
        """All epochs, or fewer when the loss stays on a plateau for ``patience`` of them."""
        plateau = Plateau(self.schedule.patience)
        for epoch in range(self.schedule.epochs):
            loss = self._epoch(epoch)
            after_epoch()
            if self.schedule.patience is not None and plateau.reached(loss.item()):
                break
        return self.flow

    def _epoch(self, epoch: int) -> Tensor:
        """Every position once, in fibres; a remainder that fills no fibre waits for the next epoch's order."""
        size = min(self.schedule.fiber_batch_size, len(self.features))
        steps = len(self.features) // size
        order = torch.randperm(len(self.features), generator=self.generator)[: steps * size]
        order = order.to(self.features.device)
        columns, rows = self.codes.locate(order)
        total = self.features.new_zeros(())
        fibres = zip(order.split(size), columns.split(size), rows.split(size), strict=True)
        for step, fibre in enumerate(fibres):
            self.adam.learning_rate = self.schedule.rate((epoch + step / steps) / self.schedule.epochs)
            total += self.step(*fibre)
        return total / steps

    def _step(self, positions: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
        """One Adam step; the loss before it."""
        fibre = self.features.index_select(0, positions)
        loss = flow_gradients(self.flow, fibre, self.codes, columns, rows, self.gradients)
        self.flow.weights.flat.grad = self.gradients.flat  # FusedAdam forgets it
        self.adam.step()
        self.flow.refresh()
        return loss


def flow_gradients(
    flow: ConditionalFlow, features: Tensor, codes: PositionCodes, columns: Tensor, rows: Tensor, into: Parameters
) -> Tensor:
    """Loss of a fibre, the mean of -log sigmoid(log-likelihood per channel); its gradients are written to ``into``.

    Args:
        features: ``[N, channels]``; columns, rows: where they are on the grid, each ``[N]``.

    Source: the sigmoid is the public code's, not the paper's; equation 6 of the paper is the likelihood alone.
    """
    table = codes.project(flow.weights.condition, flow.weights.condition_bias).to(flow.dtype)
    conditioned = codes.gather(table, columns, rows)
    latents, log_determinants, tapes = flow.forward(features, conditioned)
    likelihood = log_likelihood(latents, log_determinants)
    pull = (torch.sigmoid(-likelihood) / -features.numel())[:, None]
    flow.backward(tapes, -pull * latents, pull, into)
    codes.backward(conditioned.to(features.dtype), columns, rows, into.condition, into.condition_bias)
    return -logsigmoid(likelihood).mean()
