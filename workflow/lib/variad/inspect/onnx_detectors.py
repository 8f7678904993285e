"""The four detectors as graphs of standard operations: features in, scores and patch maps out.

Each computes what its detector's ``score`` computes on a CPU, written with what an ONNX file can hold: no search with
bounds, no NumPy, shapes that are fixed but for the number of images. Enlarging and smoothing are products with small
matrices, as in ``detectors.anomaly_map``: every runtime multiplies matrices alike, while each has a way of its own to
resize."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.detectors.anomaly_map import bilinear_matrix, gaussian_matrix, interpolation_matrix
from variad.detectors.cflow import CFlow, LayerFlow
from variad.detectors.cflow_coupling import DAMPING, channel_scale
from variad.detectors.efficientad import EfficientAD
from variad.detectors.interface import lacks_onnx
from variad.detectors.memory_bank import BankSearch
from variad.detectors.patchcore import PatchCore
from variad.detectors.reverse_distillation import PAPER_STRIDE, SMALLEST, ReverseDistillation
from variad.networks.backbones import PDN_LAYER
from variad.networks.pdn import BORDER

Features = Mapping[str, Tensor]  # by layer, ``[N, C, h, w]``
Grids = Mapping[str, tuple[int, int]]  # their h and w, by layer
AT_ONCE = 4096  # vectors of a memory bank that patches are compared with
_NEVER = -1e30  # logarithm of a weight of 0: adds nothing, and unlike infinity survives every runtime's arithmetic


def detector_graph(method: str, detector: Any, grids: Grids, seen: int) -> "DetectorGraph":
    """The graph of a fitted detector.

    Args:
        grids: of the extractor's layers, shallow to deep.
        seen: side of what the extractor sees, pixels.

    Raises:
        UserError: there is no graph of what it is set to.
    """
    return GRAPHS[method](detector, grids, seen)


class DetectorGraph(nn.Module):
    """From features, and images as the backbone takes them, ``[N, 3, R, R]``, normalised, to scores and maps.

    Attributes:
        sigma: of the Gaussian that its maps still have to be smoothed with, pixels that the extractor sees.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, features: Features, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores ``[N]`` and maps ``[N, h, w]`` of a resolution of the detector's own."""
        raise NotImplementedError


class Separable(nn.Module):
    """A linear map of rows, and one of columns: ``rows @ x @ columns.T`` of ``[..., h, w]``."""

    rows: Tensor
    columns: Tensor

    def __init__(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(rows).float())
        self.register_buffer("columns", torch.from_numpy(np.ascontiguousarray(columns.T)).float())

    def forward(self, values: Tensor) -> Tensor:
        """``[..., h, w]`` to ``[..., H, W]``."""
        return self.rows @ (values @ self.columns)


class PatchCoreGraph(DetectorGraph):
    """Distances to a memory bank, which is in the graph (``detectors.patchcore``).

    The bank is searched whole by a product of matrices; the distance of the nearest vector is then taken from the
    difference itself, so that it does not suffer from cancellation.
    """

    bank: Tensor
    centre: Tensor
    support: Tensor

    def __init__(self, detector: PatchCore, grids: Grids, seen: int) -> None:
        super().__init__(detector.map_sigma)
        reason = lacks_onnx("patchcore", detector.settings)
        if reason is not None:
            raise UserError(reason)
        self.choices, bank = detector.choices, detector.memory_bank
        (self.height, self.width), *deeper = grids.values()
        averaged = self.choices.neighbourhood == 3
        self.pool = nn.AvgPool2d(3, stride=1, padding=1) if averaged else nn.Identity()
        self.enlarge = nn.ModuleList(
            Separable(
                _averaged_and_enlarged(height, self.height, averaged),
                _averaged_and_enlarged(width, self.width, averaged),
            )
            for height, width in deeper
        )
        centre = bank.mean(axis=0)
        norms = np.square(bank - centre).sum(axis=1, keepdims=True)
        self.register_buffer("bank", torch.from_numpy(np.hstack([bank, norms])))
        self.register_buffer("centre", torch.from_numpy(centre))
        self.neighbours = min(detector.neighbours, len(bank))
        if self.choices.top_fraction is None and self.neighbours > 1:
            # what equation 7 looks up around each bank vector, looked up once
            places = BankSearch(bank).nearest(bank, self.neighbours)[1]
            self.register_buffer("support", torch.from_numpy(places.astype(np.int64)))

    def forward(self, features: Features, images: Tensor) -> tuple[Tensor, Tensor]:
        """Re-weighted maximum, or mean of the farthest patches, and the map of distances."""
        patches = self._described(features)
        index = self._nearest(patches)
        distance = (patches - self._vectors(index)).square().sum(dim=2)
        distance = distance / 2 if self.choices.distance == "cosine" else distance.sqrt()
        maps = distance.unflatten(1, (self.height, self.width))
        most = self.choices.patches_of_score(self.height * self.width)
        if most is not None:
            return distance.topk(most, dim=1).values.mean(dim=1), maps
        worst = distance.argmax(dim=1, keepdim=True)
        largest = distance.amax(dim=1)
        if self.neighbours == 1:
            return largest, maps
        support = self._vectors(self.support[index.gather(1, worst)[:, 0]])
        farthest = patches.gather(1, worst[:, :, None].expand(-1, -1, patches.shape[2]))
        to_support = (farthest - support).square().sum(dim=2).sqrt()
        weight = 1 - 1 / (to_support - to_support[:, :1]).exp().sum(dim=1)
        return weight * largest, maps

    def _nearest(self, patches: Tensor) -> Tensor:
        """Index of the nearest bank vector of patches ``[N, P, D]``, ``[N, P]``.

        The squared distance less what is the same for all vectors of the bank, with a centre taken off so that it
        cancels less: |m - c|^2 - 2 (q - c) m. Part by part of the bank, for memory's sake.
        """
        centred = -2 * (patches - self.centre)
        queries = torch.cat([centred, torch.ones_like(centred[:, :, :1])], dim=2)  # for |m - c|^2, a column of the bank
        parts = []
        for start in range(0, len(self.bank), AT_ONCE):
            bounds = queries @ self.bank[start : start + AT_ONCE].T
            place = bounds.argmin(dim=2, keepdim=True)
            parts.append((bounds.gather(2, place), place + start))
        least, index = parts[0]
        for bound, place in parts[1:]:
            index = torch.where(bound < least, place, index)
            least = torch.minimum(bound, least)
        return index[:, :, 0]

    def _vectors(self, index: Tensor) -> Tensor:
        """Bank vectors ``[..., D]``."""
        return self.bank[index][..., :-1]

    def _described(self, features: Features) -> Tensor:
        """Patches as distances are taken between them, ``[N, h * w, D]``; ``patchcore.embed_patches``."""
        first, *deeper = features.values()
        layers = [self.pool(first)] + [enlarge(layer) for enlarge, layer in zip(self.enlarge, deeper, strict=True)]
        patches = torch.cat(layers, dim=1).flatten(2).transpose(1, 2)
        if self.choices.distance != "cosine":
            return patches
        length = patches.square().sum(dim=2, keepdim=True).sqrt()
        return patches / length.clamp_min(torch.finfo(torch.float32).tiny)


def _averaged_and_enlarged(source: int, target: int, averaged: bool) -> NDArray[np.float64]:
    """Means of three (zeros outside) and linear interpolation, ``[target, source]``."""
    enlarged = bilinear_matrix(source, target)
    if not averaged:
        return enlarged
    return enlarged @ (np.eye(source) + np.eye(source, k=1) + np.eye(source, k=-1)) / 3


class CFlowGraph(DetectorGraph):
    """Likelihoods of one conditional flow a layer, joined on the finest grid (``detectors.cflow``)."""

    def __init__(self, detector: CFlow, grids: Grids, seen: int) -> None:
        super().__init__(detector.map_sigma)
        self.layers = list(detector.layers)
        used = [grids[layer] for layer in self.layers]
        finest = max(used, key=np.prod)
        self.flows = nn.ModuleList(FlowGraph(detector.layers[layer]) for layer in self.layers)
        self.enlarge = nn.ModuleList(
            nn.Identity() if grid == finest else EnlargedLogarithms(grid, finest) for grid in used
        )

    def forward(self, features: Features, images: Tensor) -> tuple[Tensor, Tensor]:
        """The map's maximum, and minus the logarithm of the layers' mean relative likelihood."""
        logarithms = [
            enlarge(flow(features[layer]))
            for layer, flow, enlarge in zip(self.layers, self.flows, self.enlarge, strict=True)
        ]
        maps = math.log(len(logarithms)) - torch.stack(logarithms).logsumexp(dim=0)
        return maps.amax(dim=(1, 2)), maps


class FlowGraph(nn.Module):
    """Log-likelihood per channel of every position, less the training's largest, ``[N, h, w]`` (``cflow_coupling``)."""

    def __init__(self, trained: LayerFlow) -> None:
        super().__init__()
        flow, codes = trained.flow, trained.codes
        self.shape, weights, blocks = flow.shape, flow.weights, flow.shape.blocks
        # the condition of a position is a part of its column and one of its row
        table = codes.project(weights.condition, weights.condition_bias)
        columns, rows = table.split([codes.width, codes.height])
        scale = channel_scale(weights.scale)
        self.constant = float(scale.log().sum()) / self.shape.channels - 0.5 * math.log(2 * math.pi)
        self.constant -= float(trained.peak)
        for block in range(blocks):
            part = slice(block * self.shape.hidden, (block + 1) * self.shape.hidden)
            for name, values in {
                "column": columns[None, :, part],
                "row": rows[:, None, part],
                "first": weights.first[block],
                "second": DAMPING * weights.second[block],
                "bias": DAMPING * weights.second_bias[block],
                "order": flow.permutations[block],
                "scale": scale[block],
                "offset": weights.offset[block],
            }.items():
                self.register_buffer(f"{name}_{block}", values.detach().clone())

    def forward(self, layer: Tensor) -> Tensor:
        """Of features ``[N, C, h, w]``."""
        values, grown = layer.permute(0, 2, 3, 1), []
        for block in range(self.shape.blocks):
            part = {
                name: self.get_buffer(f"{name}_{block}")
                for name in ("column", "row", "first", "second", "bias", "order", "scale", "offset")
            }
            passive, active = values.split([self.shape.passive, self.shape.active], dim=3)
            hidden = (passive @ part["first"] + part["column"] + part["row"]).relu()
            log_scale, shift = (hidden @ part["second"] + part["bias"]).split(self.shape.active, dim=3)
            squashed = log_scale.tanh()
            moved = active * (squashed * self.shape.clamp).exp() + shift
            values = torch.cat([passive, moved], dim=3).index_select(3, part["order"])
            values = values * part["scale"] + part["offset"]
            grown.append(squashed.sum(dim=3))
        log_determinant = self.shape.clamp * torch.stack(grown).sum(dim=0)
        return (log_determinant - 0.5 * values.square().sum(dim=3)) / self.shape.channels + self.constant


class EnlargedLogarithms(nn.Module):
    """Logarithms of the bilinear interpolation of values given by theirs (``cflow.enlarge_logarithms``).

    Of each row, and each column, of the interpolation at most two weights are not 0.
    """

    def __init__(self, grid: tuple[int, int], finer: tuple[int, int]) -> None:
        super().__init__()
        for name, source, target in zip(("rows", "columns"), grid, finer, strict=True):
            places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
            left = np.floor(places).astype(np.int64)
            around = np.stack([left, np.minimum(left + 1, source - 1)])
            weights = np.stack([1 - (places - left), places - left])
            with np.errstate(divide="ignore"):
                logarithms = np.maximum(np.log(weights), _NEVER)
            self.register_buffer(f"{name}_at", torch.from_numpy(around))
            self.register_buffer(f"{name}_by", torch.from_numpy(logarithms).float())

    def forward(self, logarithms: Tensor) -> Tensor:
        """``[N, h, w]`` to ``[N, H, W]``."""
        return self._along(self._along(logarithms, "rows", 1), "columns", 2)

    def _along(self, values: Tensor, name: str, axis: int) -> Tensor:
        at, by = self.get_buffer(f"{name}_at"), self.get_buffer(f"{name}_by")
        shape = (-1, 1) if axis == 1 else (-1,)
        sides = [values.index_select(axis, at[side]) + by[side].view(shape) for side in range(2)]
        return torch.stack(sides).logsumexp(dim=0)


class ReverseDistillationGraph(DetectorGraph):
    """Where a student does not restore its teacher (``detectors.reverse_distillation``), in float32.

    Each layer's distances are enlarged and smoothed at once; where the detector's maps have the side that the extractor
    sees, that is all the smoothing that there is.
    """

    def __init__(self, detector: ReverseDistillation, grids: Grids, seen: int) -> None:
        side = detector.resolution or PAPER_STRIDE * next(iter(grids.values()))[0]
        super().__init__(0.0 if side == seen else detector.map_sigma)
        assert detector.student is not None  # fitted or loaded
        self.student, gaussian = detector.student, gaussian_matrix(side, detector.map_sigma)
        axes = [[_corners_on_corners(source, side) for source in grid] for grid in grids.values()]
        self.smooth = nn.ModuleList(Separable(gaussian @ rows, gaussian @ columns) for rows, columns in axes)
        self.enlarge = nn.ModuleList(Separable(rows, columns) for rows, columns in axes) if self.sigma else None

    def forward(self, features: Features, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maximum of the smoothed map, and the sum of the layers' distances."""
        teacher = list(features.values())
        distances = [1 - _cosine(ours, theirs) for ours, theirs in zip(teacher, self.student(teacher), strict=True)]
        smoothed = _summed(self.smooth, distances)
        return smoothed.amax(dim=(1, 2)), smoothed if self.enlarge is None else _summed(self.enlarge, distances)


def _summed(linear: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
    return torch.stack([apply(values) for apply, values in zip(linear, maps, strict=True)]).sum(dim=0)


def _corners_on_corners(source: int, target: int) -> NDArray[np.float64]:
    return interpolation_matrix(np.linspace(0, source - 1, target), source)


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    """Of every position of ``[N, C, h, w]``."""
    lengths = [values.square().sum(dim=1).sqrt().clamp_min(SMALLEST) for values in (one, other)]
    return (one * other).sum(dim=1) / (lengths[0] * lengths[1])


class EfficientADGraph(DetectorGraph):
    """Student against teacher, and autoencoder against student (``detectors.efficientad``), in float32.

    The teacher is the extractor's own backbone, whose normalised images the networks take.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: EfficientAD, grids: Grids, seen: int) -> None:
        super().__init__(detector.map_sigma)
        self.networks, self.layer = detector.networks, PDN_LAYER
        self.register_buffer("mean", detector.mean.view(1, -1, 1, 1))
        self.register_buffer("std", detector.std.view(1, -1, 1, 1))
        self.ranges = [(low, 0.1 / (high - low) if high > low else 1.0) for low, high in detector.ranges]
        rows, columns = (_bordered(side, BORDER, detector.settings.border) for side in grids[self.layer])
        self.border = Separable(rows, columns)

    def forward(self, features: Features, images: Tensor) -> tuple[Tensor, Tensor]:
        """The map's maximum, and the mean of both maps on the scale of normal images, with its border."""
        answers = (features[self.layer] - self.mean) / self.std
        found = self.networks.maps(images, answers)
        maps = torch.stack([(found[row] - low) * factor for row, (low, factor) in enumerate(self.ranges)]).mean(dim=0)
        return maps.amax(dim=(1, 2)), self.border(maps)


def _bordered(side: int, border: int, mode: str) -> NDArray[np.float64]:
    """Puts positions around ``side`` others: the ``nearest`` one's value, or ``zero``."""
    modes: dict[str, Any] = {"nearest": "edge", "zero": "constant"}
    return np.pad(np.eye(side), ((border, border), (0, 0)), mode=modes[mode])


GRAPHS: dict[str, Callable[[Any, Grids, int], DetectorGraph]] = {
    "patchcore": PatchCoreGraph,
    "cflow": CFlowGraph,
    "reverse_distillation": ReverseDistillationGraph,
    "efficientad": EfficientADGraph,
}
