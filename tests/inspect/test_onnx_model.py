"""Detectors as ONNX: each graph beside the library's scores and maps, and the files run without torch."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.cflow import enlarge_logarithms
from variad.detectors.interface import DetectorInput, Extractor, create_detector
from variad.inspect import onnx_detectors, onnx_model
from variad.inspect.answers import Answers, HeldOutScores
from variad.inspect.bundle import Bundle, PixelRule, write_bundle
from variad.inspect.inspector import Inspector
from variad.inspect.onnx_detectors import EnlargedLogarithms
from variad.inspect.onnx_model import (
    INPUT,
    METADATA,
    OUTPUTS,
    ScoringGraph,
    at_most,
    export_onnx,
    resize_matrix,
    rounded_to_half,
    write_graph,
)
from variad.networks.backbones import load_backbone
from variad.networks.features import batches_of_features, prepare
from variad.networks.pdn import NETWORKS, PDN
from variad.networks.weights import save_weights

SIDE = 96  # pixels of the photographs
CLOSE = 1e-4  # of the largest value
LITE0 = Extractor("efficientnet_lite0", ("stage3", "stage5"), None, SIDE, None)
CROPPED = Extractor("efficientnet_lite0", ("stage2", "stage4"), None, 80, 64)
PDN_TINY = Extractor("pdn_tiny", ("features",), "made by the fixture", 64, None)
SHORT: dict[str, dict[str, Any]] = {
    "patchcore": {"coreset_fraction": 0.5},
    "cflow": {"epochs": 2, "coupling_blocks": 3},
    "reverse_distillation": {"epochs": 3, "block": "basic", "blocks": [1, 1], "embedding_blocks": 1},
    "efficientad": {"steps": 6, "penalty": "none", "precision": "float32"},
}
WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "variad", "onnx", "onnxscript"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Blocked())
import numpy as np
import onnxruntime

model, images, output = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
images = np.load(images)
names = [value.name for value in session.get_outputs()]
together = session.run(names, {"image": images})
single = [session.run(names, {"image": image[None]})[0] for image in images]
np.savez(output, single=np.concatenate(single), **dict(zip(names, together)))
assert "torch" not in sys.modules
"""


class Fitted(NamedTuple):
    """A detector, photographs that it did not see, and what the library makes of them."""

    method: str
    detector: Any
    extractor: Extractor
    backbone: Any
    stored_as: str
    images: Any
    scores: Any
    maps: Any

    def graph(self) -> ScoringGraph:
        return ScoringGraph(self.method, self.detector, self.backbone, self.extractor, SIDE, self.stored_as)


def photographs(count: int, seed: int) -> Any:
    """Stripes and noise, each with a rectangle of another brightness, uint8 ``[count, SIDE, SIDE, 3]``."""
    generator = np.random.default_rng(seed)
    images = (
        128 + 50 * np.sin(np.arange(SIDE) / 3)[None, :, None, None] + generator.normal(0, 15, (count, SIDE, SIDE, 3))
    )
    for image in images:
        top, left = generator.integers(0, SIDE - 16, 2)
        image[top : top + 12, left : left + 16] += generator.normal(0, 60)
    return np.clip(images, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("teacher") / "pdn_tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PDN(NETWORKS["pdn_tiny"])
    save_weights(path, network.state_dict(), asdict(network.config))
    return str(path)


def fitted(method: str, extractor: Extractor, teacher: str, stored_as: str = "float16", **settings: Any) -> Fitted:
    if extractor.weights is not None:
        extractor = Extractor(extractor.backbone, extractor.layers, teacher, extractor.resolution, extractor.crop)
    backbone = load_backbone(extractor.backbone, extractor.layers, extractor.weights)
    detector = create_detector(method, {**SHORT[method], **settings}, extractor)

    def seen(images: Any) -> DetectorInput:
        (maps,) = batches_of_features(backbone, [images], extractor.resolution, extractor.crop, "cpu", stored_as)
        return DetectorInput({layer: maps[layer].astype(np.float32) for layer in extractor.layers}, images)

    detector.fit(seen(photographs(3, seed=0)), np.random.default_rng(0))
    images = photographs(5, seed=1)
    scored = detector.score(seen(images))
    whole = MapSize(*[extractor.resolution] * 3, extractor.crop, detector.map_sigma)
    maps = np.stack([full_size_map(patch_map, whole) for patch_map in scored.maps])
    return Fitted(method, detector, extractor, backbone, stored_as, images, scored.scores, maps)


def assert_close(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


def cases() -> list[Any]:
    """Method, extractor, type of stored features, settings."""
    return [
        pytest.param("patchcore", LITE0, "float16", {}, id="patchcore"),
        pytest.param("patchcore", CROPPED, "float16", {"neighbours": 1}, id="patchcore_plain_maximum_cropped"),
        pytest.param(
            "patchcore",
            LITE0,
            "float32",
            {"distance": "cosine", "neighbourhood": 1, "top_fraction": 0.05},
            id="patchcore_of_anomaly_dino",
        ),
        pytest.param("cflow", LITE0, "float16", {}, id="cflow"),
        pytest.param("cflow", CROPPED, "float32", {"clamp": 1.0}, id="cflow_cropped"),
        pytest.param("reverse_distillation", LITE0, "float16", {}, id="reverse_distillation"),
        pytest.param(
            "reverse_distillation",
            LITE0,
            "float32",
            {"block": "bottleneck", "resolution": 48},
            id="reverse_distillation_of_another_resolution",
        ),
        pytest.param("efficientad", PDN_TINY, "float16", {}, id="efficientad"),
        pytest.param(
            "efficientad", PDN_TINY, "float32", {"autoencoder": False, "border": "zero"}, id="efficientad_student_alone"
        ),
    ]


@pytest.mark.parametrize(("method", "extractor", "stored_as", "settings"), cases())
def test_the_graph_computes_what_the_library_computes(
    method: str, extractor: Extractor, stored_as: str, settings: dict[str, Any], teacher: str
) -> None:
    case = fitted(method, extractor, teacher, stored_as, **settings)
    with torch.no_grad():
        scores, maps = case.graph()(torch.from_numpy(case.images))
    assert np.ptp(case.scores) > 0.01 * case.scores.max()  # photographs differ, or nothing would be compared
    assert_close(scores.numpy(), case.scores)
    assert_close(maps.numpy(), case.maps)


def test_layers_count_in_the_order_of_the_extractor(teacher: str) -> None:
    deep_first = Extractor("efficientnet_lite0", ("stage5", "stage3"), None, SIDE, None)
    case = fitted("patchcore", deep_first, teacher)
    with torch.no_grad():
        scores, maps = case.graph()(torch.from_numpy(case.images))
    assert_close(scores.numpy(), case.scores)
    assert_close(maps.numpy(), case.maps)


@pytest.fixture(scope="module", params=list(SHORT))
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, teacher: str
) -> tuple[Fitted, Path]:
    """A detector of each method, and its file."""
    extractor = PDN_TINY if request.param == "efficientad" else LITE0
    case = fitted(request.param, extractor, teacher)
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    write_graph(case.graph(), SIDE, (0.1, None), {"product": "lid"}, path)
    return case, path


@pytest.mark.slow
def test_a_file_runs_where_there_is_no_torch(exported: tuple[Fitted, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    case, path = exported
    np.save(tmp_path / "images.npy", case.images)
    files = [str(path), str(tmp_path / "images.npy"), str(tmp_path / "found.npz")]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *files], check=True)
    with np.load(tmp_path / "found.npz") as found:
        assert_close(found["score"], case.scores)
        assert_close(found["single"], case.scores)  # any number of photographs
        assert_close(found["anomaly_map"], case.maps)
        assert found["threshold"].dtype == np.float32
        np.testing.assert_array_equal(found["threshold"], [np.float32(0.099999994), np.nan])  # up to 0.1


@pytest.mark.slow
def test_a_file_says_what_goes_in_and_out(exported: tuple[Fitted, Path]) -> None:
    onnx = pytest.importorskip("onnx")
    case, path = exported
    model = onnx.load(path)
    (given,) = model.graph.input
    assert given.name == INPUT == "image"
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim]
    assert shape == ["N", SIDE, SIDE, 3]
    assert [value.name for value in model.graph.output] == list(OUTPUTS) == ["score", "anomaly_map", "threshold"]
    (metadata,) = model.metadata_props
    assert (metadata.key, json.loads(metadata.value)) == (METADATA, {"product": "lid"})
    assert {entry.domain for entry in model.opset_import} == {""}  # no operation of one runtime's own
    if case.method == "patchcore":  # the bank is inside
        bank = case.detector.memory_bank
        inside = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
        (kept,) = [values for values in inside if values.shape == (len(bank), bank.shape[1] + 1)]
        np.testing.assert_array_equal(kept[:, :-1], bank)  # beside a column for the search
    assert str(Path(onnx_model.__file__).parent).encode() not in path.read_bytes()  # nor a path of this machine


@pytest.mark.slow
def test_openvino_reads_the_same_file(exported: tuple[Fitted, Path]) -> None:
    openvino = pytest.importorskip("openvino")
    case, path = exported
    core = openvino.Core()
    # on a processor with instructions for bfloat16 it would compute in that
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({INPUT: case.images})
    assert_close(found["score"], case.scores)
    assert_close(found["anomaly_map"], case.maps)
    assert_close(compiled({INPUT: case.images[:1]})["score"], case.scores[:1])


@pytest.mark.slow
def test_an_open_bundle_is_exported_with_its_thresholds(teacher: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    case = fitted("patchcore", LITE0, teacher)
    case.detector.save(tmp_path / "model.safetensors")
    held_out = HeldOutScores(np.linspace(1, 2, 30), np.linspace(1, 2, 30), np.ones(30, bool))
    bundle = Bundle(
        "lids/red", "lid", "patchcore", SHORT["patchcore"], LITE0, case.stored_as, PixelRule(SIDE), held_out,
        (0.95, 0.99), {"seed": 0, "training_images": []}, [],
    )  # fmt: skip
    write_bundle(tmp_path / "red.variad", bundle, tmp_path / "model.safetensors", case.backbone, case.images[:1])
    inspector = Inspector.open(tmp_path / "red.variad")
    export_onnx(inspector, tmp_path / "red.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "red.onnx", providers=["CPUExecutionProvider"])
    scores, _, thresholds = session.run(list(OUTPUTS), {INPUT: case.images})
    assert_close(scores, inspector.score(case.images).scores)
    answers = Answers(held_out, (0.95, 0.99))
    np.testing.assert_allclose(thresholds, [answers.look, answers.bad], rtol=1e-6)
    told = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert told["product"] == "lids/red" and told["pixels"]["image_size"] == SIDE and "held_out" not in told


def test_a_bank_is_searched_part_by_part(teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = fitted("patchcore", LITE0, teacher, coreset_fraction=1.0)
    assert len(case.detector.memory_bank) == 3 * 12 * 12
    found = []
    for at_once in (4096, 100):  # 4 x 100 and 32
        monkeypatch.setattr(onnx_detectors, "AT_ONCE", at_once)
        with torch.no_grad():
            found.append(case.graph()(torch.from_numpy(case.images)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert_close(found[1][1].numpy(), case.maps)


def test_a_mask_has_no_graph(teacher: str) -> None:
    case = fitted("patchcore", LITE0, teacher, mask="test", mask_threshold=0.0)
    with pytest.raises(UserError, match=r"expected patchcore\.mask none, found 'test'"):
        case.graph()


def test_a_file_that_would_be_too_large_is_refused(
    teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = fitted("patchcore", LITE0, teacher).graph()
    monkeypatch.setattr(onnx_model, "LARGEST", 1000)
    with pytest.raises(UserError, match="expected a model of less than 2 GB for ONNX"):
        write_graph(graph, SIDE, (None, None), {}, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_package_that_is_missing_is_named(
    package: str, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = fitted("patchcore", LITE0, teacher).graph()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"expected the packages onnx and onnxscript, found no {package}"):
        write_graph(graph, SIDE, (None, None), {}, tmp_path / "model.onnx")


def test_a_threshold_decides_as_the_exact_one() -> None:
    generator = np.random.default_rng(0)
    for threshold in [*generator.uniform(-5, 50, 200), 0.1, 0.5, 1e-30]:
        nearest = np.float32(threshold)
        around = [np.nextafter(nearest, np.float32(-100)), nearest, np.nextafter(nearest, np.float32(100))]
        assert [score > at_most(threshold) for score in around] == [float(score) > threshold for score in around]
    assert np.isnan(at_most(None))


def test_rounding_to_half_is_float16s() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-4, 4, 10_000)
    values = torch.cat([values, torch.tensor([0.0, 1.0, -6.0, 65504.0, 65500.0, 6.2e-5])])
    normal = values.abs() >= 2.0**-14
    normal |= values == 0
    torch.testing.assert_close(rounded_to_half(values)[normal], values.half().float()[normal], rtol=0, atol=0)
    assert (rounded_to_half(values) - values.half().float()).abs()[~normal].max() <= 2.0**-25


@pytest.mark.parametrize("resolution", [96, 64, 50, 112])
def test_resizing_by_matrices_is_the_librarys(resolution: int) -> None:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    matrix = torch.from_numpy(resize_matrix(SIDE, resolution)).float()
    torch.testing.assert_close(matrix @ images @ matrix.T, prepare(images, resolution, None), rtol=0, atol=1e-6)


def test_enlarged_logarithms_are_the_librarys() -> None:
    values = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)) * 40
    found = EnlargedLogarithms((3, 5), (7, 10))(values)
    np.testing.assert_allclose(found.numpy(), enlarge_logarithms(values.double(), 7, 10), rtol=1e-5, atol=1e-5)
