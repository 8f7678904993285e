"""An inspector as one ONNX file: photographs as bytes in; scores, anomaly maps and thresholds out.

Backbone, preparation, detector and smoothing are one graph of standard operations, which ONNX Runtime, OpenVINO and
others run without torch. Its numbers are the library's to about 1e-5 of a score. A detector whose setting ``precision``
is ``bfloat16`` is exported in float32: where the library scores it in bfloat16, the two differ by what that rounds."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.files import writing
from variad.detectors.anomaly_map import MapSize, full_size_matrices
from variad.detectors.interface import Extractor
from variad.inspect.onnx_detectors import Separable, detector_graph
from variad.networks.backbones import Backbone

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspector

OPSET = 18  # of 2022: runtimes in use know it
LARGEST = 2**31 - 1  # bytes of a protocol buffer, and so of an ONNX file
INPUT, OUTPUTS = "image", ("score", "anomaly_map", "threshold")
METADATA = "variad"  # entry of metadata_props that holds the bundle's JSON


class ScoringGraph(nn.Module):
    """From photographs, uint8 RGB ``[N, S, S, 3]``, to ``(score [N], anomaly_map [N, R, R])``.

    R is the resolution that the extractor brings photographs to. A map is smoothed as the kept ones are; where the
    extractor crops, the border that it never saw takes the value of the nearest pixel that it saw.

    Args:
        side: S, pixels.
        stored_as: ``float16`` or ``float32``: what features are rounded to.
    """

    factor: Tensor
    offset: Tensor

    def __init__(
        self, method: str, detector: Any, backbone: Backbone, extractor: Extractor, side: int, stored_as: str
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.stored = rounded_to_half if stored_as == "float16" else nn.Identity()
        # before a photograph is resized, which changes no mean: OpenVINO's CPU plugin fails on a product of matrices
        # with a factor a channel behind it
        self.register_buffer("factor", 1 / (255 * backbone.std))
        self.register_buffer("offset", backbone.mean / backbone.std)
        resize = resize_matrix(side, extractor.resolution)
        seen = extractor.crop or extractor.resolution
        start = (extractor.resolution - seen) // 2
        resize = resize[start : start + seen]
        self.prepare = separable(resize, resize)
        self.layers, blank = extractor.layers, torch.zeros(1, 3, seen, seen)
        with torch.no_grad():
            features = self._features(blank)
            grids = {layer: (maps.shape[2], maps.shape[3]) for layer, maps in features.items()}
            self.detector = detector_graph(method, detector, grids, seen)
            patches = self.detector(features, blank)[1].shape[1:]
        whole = MapSize(extractor.resolution, extractor.resolution, extractor.resolution, extractor.crop)
        rows, columns = full_size_matrices(tuple(patches), whole._replace(sigma=self.detector.sigma))
        self.smooth = separable(rows, columns)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and anomaly maps, float32."""
        images = self.prepare(image.permute(0, 3, 1, 2).float() * self.factor - self.offset)
        scores, maps = self.detector(self._features(images), images)
        return scores, self.smooth(maps)

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        """As they are stored, of normalised images, in the order that the detector knows."""
        maps = self.backbone.of_normalised(images)
        return {layer: self.stored(maps[layer]) for layer in self.layers}


def rounded_to_half(values: Tensor) -> Tensor:
    """The nearest numbers that float16 has, as float32; below its normal ones, 6e-5, finer than it (3e-8 at most).

    Not by a conversion there and back, which OpenVINO takes out: the high part of a number split in two (Dekker, 1971).
    """
    scaled = values * (2.0**13 + 1)  # float32 has 13 bits more
    return scaled - (scaled - values)


def separable(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> nn.Module:
    """``Separable``, or nothing to do where that changes nothing."""
    changes = any(not np.array_equal(matrix, np.eye(len(matrix))) for matrix in (rows, columns))
    return Separable(rows, columns) if changes else nn.Identity()


def resize_matrix(side: int, resolution: int) -> NDArray[np.float64]:
    """``networks.features.prepare``'s antialiased interpolation along one axis, ``[resolution, side]``."""
    if side == resolution:
        return np.eye(side)
    pulses = torch.eye(side)[None, None]  # float32, in which the weights are rounded
    return functional.interpolate(pulses, (resolution, side), mode="bilinear", antialias=True)[0, 0].double().numpy()


def export_onnx(inspector: "Inspector", path: str | Path) -> None:
    """Write an open bundle as ONNX; ``inspector`` on a CPU.

    Input ``image``: uint8 RGB ``[N, S, S, 3]``, S the bundle's image size, any N. Outputs, all float32: ``score``
    ``[N]``; ``anomaly_map`` ``[N, R, R]``, as ``ScoringGraph`` says; ``threshold`` ``[2]``, above which a score says
    look at it, and bad, NaN where there is none. The entry ``variad`` of the file's metadata is the bundle's JSON.

    Raises:
        UserError: onnx and onnxscript are not installed, the detector has a setting that ONNX cannot hold (PatchCore's
            ``mask``), or the file would be larger than 2 GB.
    """
    bundle, answers = inspector.bundle, inspector.answers
    extractor, side = bundle.extractor, bundle.pixels.image_size
    graph = ScoringGraph(bundle.method, inspector.detector, inspector.backbone, extractor, side, bundle.stored_as)
    told = {field.name: getattr(bundle, field.name) for field in fields(bundle) if field.name != "held_out"}
    told |= {"extractor": asdict(extractor), "pixels": asdict(bundle.pixels)}
    write_graph(graph, side, (answers.look, answers.bad), told, path)


def write_graph(
    graph: ScoringGraph, side: int, thresholds: Sequence[float | None], metadata: Mapping[str, Any], path: str | Path
) -> None:
    """Write a graph, its thresholds and metadata.

    Raises:
        UserError: as ``export_onnx``.
    """
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    if size > LARGEST:
        raise UserError(f"{path}: expected a model of less than 2 GB for ONNX, found {size / 1e9:.1f} GB.")
    try:
        import onnx
        import onnxscript  # noqa: F401, torch's exporter needs it
    except ImportError as error:
        raise UserError(f"{path}: expected the packages onnx and onnxscript, found no {error.name}.") from error
    # two images: an axis of one would be taken for one that has no other length
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS[:2]),
            dynamic_shapes={INPUT: {0: torch.export.Dim("N")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_source(model)
    values = np.array([at_most(threshold) for threshold in thresholds])
    model.graph.node.append(
        onnx.helper.make_node("Constant", [], [OUTPUTS[2]], value=onnx.numpy_helper.from_array(values))
    )
    model.graph.output.append(onnx.helper.make_tensor_value_info(OUTPUTS[2], onnx.TensorProto.FLOAT, [len(values)]))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    model.producer_name = "variad"
    onnx.checker.check_model(model)
    with writing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def at_most(threshold: float | None) -> np.float32:
    """The largest float32 up to a threshold, so that the same float32 scores are above both; NaN for none."""
    if threshold is None:
        return np.float32(np.nan)
    nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))


def _forget_source(model: Any) -> None:
    """Take out what torch notes of the Python files that each operation came from: paths of this machine."""
    for holder in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.functions):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
        holder.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it torch's exporter does not tell its progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
