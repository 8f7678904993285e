"""Detectors on a GPU against the same on a CPU: trained alike, scoring alike, and each reading what the other saved.

Products are exact in float32 here, so what remains is the order of sums. Scoring with equal weights agrees to a few
parts in ten thousand of the maps' spread; trainings drift apart from there, Adam making steps of one size out of
gradients of any."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from variad.core.records import read_features
from variad.detectors.interface import DetectorInput, Extractor, create_detector
from variad.networks import gpu_steps
from variad.networks.feature_file import write_features
from variad.networks.features import to_tensor
from variad.networks.pdn import NETWORKS, PDN, load_pdn, standardised
from variad.networks.weights import save_weights

pytestmark = pytest.mark.gpu
SIDE = 64
SCORING, TRAINING = 1e-3, 0.02  # differences, as parts of a map's standard deviation


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    """As jobs have them where TF32 is not asked for; no dropout, of which each device draws its own."""
    monkeypatch.setattr("variad.detectors.efficientad_networks.DROPOUT", 0.0)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    yield
    products.allow_tf32, convolutions.allow_tf32 = before


@dataclass
class Case:
    """A detector with its training and test images; ``same``: it computes the same in every run."""

    method: str
    settings: dict[str, Any]
    extractor: Extractor
    train: DetectorInput
    test: DetectorInput
    same: bool

    def made(self, device: str, **changes: Any) -> Any:
        return create_detector(self.method, {**self.settings, **changes}, self.extractor, device)

    def fitted(self, device: str, **changes: Any) -> Any:
        detector = self.made(device, **changes)
        detector.fit(self.train, np.random.default_rng(3))
        return detector


def features(images: int, seed: int) -> DetectorInput:
    """Smooth maps of three layers, never negative, as behind a ReLU."""
    draw, layers = np.random.default_rng(seed), {}
    for number, (side, width) in enumerate(((16, 24), (8, 32), (4, 40))):
        maps = draw.standard_normal((images, side, side, width))
        maps += np.roll(maps, 1, axis=1) + np.roll(maps, 1, axis=2)
        layers[f"layer{number + 1}"] = np.maximum(maps, 0).astype(np.float32)
    return DetectorInput(layers)


def photographed(images: int, seed: int, weights: Path) -> DetectorInput:
    draw = np.random.default_rng(seed)
    stripes = 128 + 60 * np.sin(np.arange(SIDE) / 3)[None, :, None, None]
    pixels = np.clip(stripes + draw.normal(0, 20, (images, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    with torch.inference_mode():
        maps = load_pdn(weights, "pdn_tiny")(standardised(to_tensor(pixels)))
    return DetectorInput({"features": maps.permute(0, 2, 3, 1).contiguous().numpy()}, pixels)


SETTINGS: dict[str, tuple[dict[str, Any], bool]] = {
    "patchcore": ({"coreset_fraction": 0.2, "projection": 48}, True),
    "cflow": ({"epochs": 4, "coupling_blocks": 4, "condition_size": 32, "fiber_batch_size": 64}, True),
    "reverse_distillation": (
        # at the paper's rate of 0.005 a millionth in the features is a quarter of the spread in the maps after 18 steps
        {
            "epochs": 6,
            "batch_size": 4,
            "block": "basic",
            "blocks": [1, 1, 1],
            "embedding_blocks": 1,
            "learning_rate": 1e-4,
        },
        False,
    ),
    "efficientad": ({"steps": 20, "penalty": "photographs", "precision": "float32"}, False),
}


@pytest.fixture(scope="module", params=SETTINGS)
def case(request, tmp_path_factory) -> Case:
    settings, same = SETTINGS[request.param]
    if request.param != "efficientad":
        extractor = Extractor("resnet18", ("layer1", "layer2", "layer3"), None, SIDE, None)
        return Case(request.param, settings, extractor, features(10, 0), features(5, 1), same)
    weights = tmp_path_factory.mktemp("teacher") / "pdn_tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PDN(NETWORKS["pdn_tiny"])
    save_weights(weights, network.state_dict(), asdict(network.config))
    extractor = Extractor("pdn_tiny", ("features",), str(weights), SIDE, None)
    test = photographed(5, 1, weights)
    return Case(request.param, settings, extractor, photographed(6, 0, weights), test, same)


def assert_close(found: Any, wanted: Any, part: float) -> None:
    """Maps and scores are ``part`` of the maps' standard deviation apart, on average."""
    assert found.maps.shape == wanted.maps.shape and found.maps.dtype == found.scores.dtype == np.float32
    spread = wanted.maps.std()
    apart = np.abs(found.maps - wanted.maps).mean() / spread
    print(f"maps {apart:.2e} of their standard deviation apart, scores", np.abs(found.scores - wanted.scores) / spread)
    assert apart <= part
    assert np.abs(found.scores - wanted.scores).mean() <= 4 * part * spread  # a maximum varies more than a mean


def test_a_training_on_a_gpu_scores_as_one_on_a_cpu(case):
    assert_close(case.fitted("cuda").score(case.test), case.fitted("cpu").score(case.test), TRAINING)


def test_replayed_steps_train_as_launched_ones(case, monkeypatch):
    recorded, made = [], gpu_steps.Recorded.__init__
    monkeypatch.setattr(gpu_steps.Recorded, "__init__", lambda self, *given: recorded.append(1) or made(self, *given))
    replayed = case.fitted("cuda").score(case.test)
    assert recorded
    monkeypatch.setattr(gpu_steps, "WARM_UP", 10**9)
    recorded.clear()
    launched = case.fitted("cuda").score(case.test)
    assert not recorded
    assert_close(replayed, launched, SCORING if case.same else TRAINING)


def test_two_trainings_of_one_seed_agree(case):
    first, second = (case.fitted("cuda").score(case.test) for _ in range(2))
    if case.same:
        np.testing.assert_array_equal(first.maps, second.maps)
    assert_close(first, second, TRAINING)


@pytest.mark.parametrize("there, here", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_model_saved_there_scores_alike_here(case, there, here, tmp_path):
    fitted = case.fitted(there)
    fitted.save(tmp_path / "model.safetensors")
    loaded = type(fitted).load(tmp_path / "model.safetensors", here)
    assert_close(loaded.score(case.test), fitted.score(case.test), SCORING)


def test_an_image_is_scored_alike_alone_and_among_others(case):
    detector = case.fitted("cuda")
    together = detector.score(case.test)
    for row in range(len(together.scores)):
        alone = detector.score(case.test.rows([row]))
        np.testing.assert_allclose(alone.maps[0], together.maps[row], atol=SCORING * together.maps.std(), rtol=0)


def test_bfloat16_trains(case):
    if case.method == "patchcore":
        pytest.skip("it has no such setting")
    exact, half = (case.fitted("cuda", precision=name).score(case.test) for name in ("float32", "bfloat16"))
    assert np.isfinite(half.maps).all()
    alike = np.corrcoef(exact.maps.ravel(), half.maps.ravel())[0, 1]
    print(f"correlation of the maps {alike:.4f}")
    assert alike > 0.9


class Pooled(torch.nn.Module):
    """Two layers of a backbone without weights."""

    layers, weights_sha256 = ("half", "quarter"), "f" * 64

    def __init__(self) -> None:
        super().__init__()
        self.strides = {"half": 2, "quarter": 4}

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        pool = torch.nn.functional.avg_pool2d
        return {"half": pool(images, 2), "quarter": pool(images.mean(1, keepdim=True), 4)}


@pytest.mark.parametrize("stored_as, tolerance", [("float32", 1e-6), ("float16", 1e-3)])
def test_features_on_disk_are_a_cpus(stored_as, tolerance, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (11, 96, 96, 3), dtype=np.uint8)
    for device in ("cpu", "cuda"):
        batches = (images[start : start + 3] for start in range(0, 11, 3))
        options = {"resolution": 64, "crop": 48, "device": device}
        kept = {} if device == "cpu" else {"stored_as": stored_as}
        write_features(tmp_path / f"{device}.h5", batches, 11, Pooled(), {}, **options, **kept)
    wanted, found = (read_features(tmp_path / f"{device}.h5", ["half", "quarter"]) for device in ("cpu", "cuda"))
    for layer, values in wanted.items():
        np.testing.assert_allclose(found[layer], values, atol=tolerance, rtol=0)
