"""Training a conditional flow on the feature vectors of one layer, one Adam step a fibre."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import logsigmoid
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.precision import in_bfloat16
from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.cflow_coupling import (
    ConditionalFlow,
    FlowShape,
    Parameters,
    PositionCodes,
    initial_parameters,
    log_likelihood,
)
from variad.detectors.interface import DetectorInput, Scored
from variad.networks.training import FusedAdam, Plateau, seeded


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
            total += self._step(*fibre)
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


# The flow of one layer: trained on that layer's feature maps, it gives the likelihood of every position of others.

# positions computed at once: few enough for the cache, and the same for every image whatever else is scored with it
_POSITIONS = 256


class LayerFlow:
    """A trained flow on a fixed grid of positions.

    Attributes:
        peak: largest log-likelihood per channel of a training position, a scalar float64; it makes likelihoods of
            different layers comparable.
    """

    def __init__(self, flow: ConditionalFlow, codes: PositionCodes, peak: Tensor) -> None:
        self.flow, self.codes, self.peak = flow, codes, peak

    @classmethod
    def train(
        cls,
        maps: Tensor,
        shape: FlowShape,
        schedule: FlowSchedule,
        generator: torch.Generator,
        after_epoch: Callable[[], object],
    ) -> Self:
        """Maximum likelihood on feature maps ``[N, h, w, C]``."""
        codes = PositionCodes(maps.shape[1], maps.shape[2], shape.condition, maps.device)
        trained = FlowTraining(maps.flatten(0, 2), codes, shape, schedule, generator).run(after_epoch)
        flow = ConditionalFlow(shape, trained.weights, trained.permutations)
        found = cls(flow, codes, torch.zeros((), dtype=torch.float64))
        found.peak = found.log_likelihood(maps).max().double()
        return found

    def log_likelihood(self, maps: Tensor) -> Tensor:
        """Log-likelihood per channel of every position of feature maps ``[N, h, w, C]``: ``[N, h, w]``."""
        weights = self.flow.weights
        conditioned = self.codes.project_all(weights.condition, weights.condition_bias).split(_POSITIONS)
        values = [
            log_likelihood(*self.flow.forward(features, part.clone())[:2])
            for image in maps.flatten(1, 2)
            for features, part in zip(image.split(_POSITIONS), conditioned, strict=True)
        ]
        return torch.cat(values).view(maps.shape[:3])

    def relative_log_likelihood(self, maps: Tensor) -> Tensor:
        """Log-likelihood per channel less that of the likeliest training position, float64 ``[N, h, w]``."""
        return self.log_likelihood(maps).double() - self.peak

    def tensors(self) -> dict[str, Tensor]:
        """What a file has to hold besides the shapes."""
        return {"weights": self.flow.weights.flat, "permutations": self.flow.permutations, "peak": self.peak}

    @classmethod
    def restore(cls, tensors: dict[str, Tensor], grid: tuple[int, int], shape: FlowShape) -> Self:
        """A trained flow from what ``tensors`` gave; ``grid`` is height and width of its layer."""
        flow = ConditionalFlow(shape, Parameters(shape, tensors["weights"]), tensors["permutations"])
        return cls(flow, PositionCodes(grid[0], grid[1], shape.condition, tensors["weights"].device), tensors["peak"])


# CFlow: likelihood of every patch under a normalising flow conditioned on its position (Gudovskiy et al., WACV 2022).
#
# Where the authors' public code says more than the paper, the code is followed (``CFLOW-AD``, training and scoring),
# with two exceptions: no constant comes from the test set, and permutations are hard, as in anomalib.

_SCHEDULES = ("cosine", "constant")
_PRECISIONS = ("float32", "bfloat16")


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
        precision: of the matrix products in training, ``float32`` or ``bfloat16``; scoring is always in float32.
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
        check_settings(**self.settings)
        dtype = torch.bfloat16 if in_bfloat16(precision, device) else torch.float32
        self.schedule = FlowSchedule(
            epochs, fiber_batch_size, learning_rate, warmup_fraction, schedule == "cosine", patience, dtype
        )
        self.device = device
        self.layers: dict[str, LayerFlow] = {}

    @torch.inference_mode()
    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Train one flow after another; see ``Detector.fit``."""
        total = len(training.features) * self.schedule.epochs
        with (
            tqdm(total=total, desc="cflow", unit="epoch", disable=None, mininterval=5) as bar,
            seeded(generator) as own,
        ):
            for layer, maps in training.features.items():
                shape = self._shape(layer, maps.shape[3])
                self.layers[layer] = LayerFlow.train(self._tensor(maps), shape, self.schedule, own, bar.update)

    @torch.inference_mode()
    def score(self, images: DetectorInput) -> Scored:
        """Minus the logarithm of the mean relative likelihood of the layers, on the grid of the finest.

        It orders positions as the public code's ``sum of maxima - sum of likelihoods`` does, and unlike that it tells
        very unlikely positions from each other in float32. The image score is the map's maximum. See
        ``Detector.score``.
        """
        height, width = max((maps.shape[1:3] for maps in images.features.values()), key=np.prod)
        likelihoods = [
            enlarge_logarithms(flow.relative_log_likelihood(self._tensor(images.features[layer])), height, width)
            for layer, flow in self.layers.items()
        ]
        mean = np.logaddexp.reduce(likelihoods, axis=0) - np.log(len(likelihoods))
        maps = -mean.astype(np.float32)
        return Scored(maps.max(axis=(1, 2)), maps)

    def save(self, path: Path) -> None:
        """Write flows and settings."""
        tensors = {
            f"{layer}.{name}": value.cpu().contiguous()
            for layer, flow in self.layers.items()
            for name, value in flow.tensors().items()
        }
        grids = {
            layer: [flow.codes.height, flow.codes.width, flow.flow.shape.channels]
            for layer, flow in self.layers.items()
        }
        # one entry: the order of several in a safetensors header is not fixed
        model = json.dumps({"settings": self.settings, "layers": grids})
        with writing(path) as temporary:
            save_file(tensors, temporary, metadata={"model": model})

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        with safe_open(path, "pt") as file:
            model = json.loads(file.metadata()["model"])
            detector = cls(**model["settings"], device=device)
            for layer, (height, width, channels) in model["layers"].items():
                tensors = {
                    name: file.get_tensor(f"{layer}.{name}").to(device) for name in ("weights", "permutations", "peak")
                }
                shape = detector._shape(layer, channels)
                detector.layers[layer] = LayerFlow.restore(tensors, (height, width), shape)
        return detector

    def _shape(self, layer: str, channels: int) -> FlowShape:
        if channels < 2:
            raise UserError(f"cflow: expected at least 2 channels in layer {layer}, found {channels}.")
        return FlowShape(
            channels, self.settings["condition_size"], self.settings["coupling_blocks"], self.settings["clamp"]
        )

    def _tensor(self, maps: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(maps)).to(self.device)


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


def check_settings(**settings: Any) -> None:
    """Raises:
    UserError: a setting of ``CFlow`` is not what it may be.
    """
    for name in ("epochs", "fiber_batch_size", "coupling_blocks"):
        _expect(name, settings, _whole(settings[name], 1), "a whole number of at least 1")
    for name in ("learning_rate", "clamp"):
        _expect(name, settings, _real(settings[name]) and settings[name] > 0, "a positive number")
    warmup, size, patience = settings["warmup_fraction"], settings["condition_size"], settings["patience"]
    _expect("warmup_fraction", settings, _real(warmup) and 0 <= warmup < 1, "a number in [0, 1)")
    _expect("condition_size", settings, _whole(size, 4) and size % 4 == 0, "a multiple of 4")
    _expect("patience", settings, patience is None or _whole(patience, 1), "null or a whole number of at least 1")
    _expect("schedule", settings, settings["schedule"] in _SCHEDULES, f"one of {', '.join(_SCHEDULES)}")
    _expect("precision", settings, settings["precision"] in _PRECISIONS, f"one of {', '.join(_PRECISIONS)}")


def _expect(name: str, settings: dict[str, Any], right: bool, expected: str) -> None:
    if not right:
        raise UserError(f"cflow.{name}: expected {expected}, found {settings[name]!r}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
