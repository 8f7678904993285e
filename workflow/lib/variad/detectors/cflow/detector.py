"""CFlow: likelihood of every patch under a normalising flow conditioned on its position (Gudovskiy et al., WACV 2022).

Where the authors' public code says more than the paper, the code is followed (``CFLOW-AD``, training and scoring),
with two exceptions: no constant comes from the test set, and permutations are hard, as in anomalib.
"""

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.base import DetectorInput, Scored
from variad.detectors.cflow.coupling import FlowShape
from variad.detectors.cflow.layer_flow import LayerFlow
from variad.detectors.cflow.training import Schedule
from variad.detectors.randomness import seeded
from variad.errors import UserError
from variad.files import writing
from variad.precision import in_bfloat16

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
        self.schedule = Schedule(
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
