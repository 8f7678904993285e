import importlib
from functools import partial

import numpy as np
import pytest
import torch

from variad.core import precision
from variad.core.errors import UserError
from variad.detectors.interface import (
    METHODS,
    PRECISIONS,
    DetectorInput,
    Extractor,
    check_method,
    create_detector,
    detector_class,
    method_file,
)
from variad.networks.features import to_tensor
from variad.networks.pdn import load_pdn, standardised

EXTRACTOR = Extractor("efficientnet_lite0", ("stage3",), None, 64, None)
OWN = """
import numpy as np
from variad.detectors.interface import Scored

class Mean:
    uses_images, map_sigma = False, 0.0
    def __init__(self, power=1.0, device="cpu"):
        self.power = power
    def score(self, images):
        maps = np.abs(images.features["stage3"]).mean(axis=3) ** self.power
        return Scored(maps.max(axis=(1, 2)), maps)
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    return f"{tmp_path}/mine.py:Mean"


def test_every_registered_method_is_a_detector():
    for method in METHODS:
        chosen = detector_class(method)
        assert {"fit", "score", "save", "load", "uses_images", "map_sigma"} <= set(dir(chosen))
        assert method_file(method).is_file()


def test_a_users_own_file_is_a_method(own):
    detector = create_detector(own, {"power": 2.0}, EXTRACTOR)
    found = detector.score(DetectorInput({"stage3": np.full((1, 2, 2, 4), -3, np.float32)}))
    assert found.scores.tolist() == [9.0]
    assert method_file(own).name == "mine.py"


def test_mistakes_are_said_in_a_sentence(own):
    with pytest.raises(UserError, match=r"expected a method among patchcore.*, or file.py:Class, found 'patchcor'"):
        check_method("patchcor")
    with pytest.raises(UserError, match=r"found 'nowhere.py:Mean'"):
        check_method("nowhere.py:Mean")
    with pytest.raises(UserError, match=r"mine.py: expected a detector class Median, found none"):
        detector_class(own.replace("Mean", "Median"))
    with pytest.raises(UserError, match=r"expected settings that it knows, found \{'exponent': 1\}"):
        create_detector(own, {"exponent": 1}, EXTRACTOR)


def test_precisions_are_those_that_devices_know():
    assert PRECISIONS == precision.PRECISIONS


SMALL = {
    "cflow": ({"epochs": 1, "coupling_blocks": 1, "condition_size": 8}, "FlowTraining"),
    "reverse_distillation": ({"epochs": 1, "block": "basic", "blocks": [1], "embedding_blocks": 1}, "seeded"),
    "efficientad": ({"steps": 1, "penalty": "none", "held_out": 0}, "EfficientADTraining"),
}


@pytest.mark.parametrize("method", SMALL)
def test_tf32_holds_within_a_training_alone_and_is_float32_on_a_cpu(method, monkeypatch):
    settings, begins = SMALL[method]
    draw = np.random.default_rng(0)
    images, features = draw.integers(0, 256, (2, 64, 64, 3), np.uint8), draw.random((2, 8, 8, 8), np.float32)
    extractor = Extractor("none", ("layer",), None, 64, None)
    shown = DetectorInput({"layer": features}, images)
    if method == "efficientad":
        extractor = Extractor("pdn_tiny", ("features",), "resources/pdn_tiny/model.safetensors", 64, None)
        with torch.inference_mode():
            answers = load_pdn(extractor.weights, extractor.backbone)(standardised(to_tensor(images)))
        shown = DetectorInput({"features": answers.permute(0, 2, 3, 1).contiguous().numpy()}, images)
    module = importlib.import_module(f"variad.detectors.{method}")
    begin, convolutions, seen, devices = getattr(module, begins), torch.backends.cudnn, [], set()
    of_gpu = partial(precision.products, device="cuda")
    monkeypatch.setattr(
        module, begins, lambda *given: (seen.append((convolutions.allow_tf32, allowed())), begin(*given))[1]
    )
    monkeypatch.setattr(module, "products", lambda precision, device: (devices.add(device), of_gpu(precision))[1])

    def allowed():
        return torch.backends.cuda.matmul.allow_tf32

    def scored(name):
        detector = create_detector(method, {**settings, "precision": name}, extractor)
        detector.fit(shown, np.random.default_rng(0))
        return detector.score(shown)

    before = convolutions.allow_tf32, allowed()
    rounded, exact = scored("tf32"), scored("float32")
    assert seen == [(True, True), (False, False)] and (convolutions.allow_tf32, allowed()) == before
    assert devices == {"cpu"}  # which it leaves as it is
    assert np.isfinite(exact.maps).all() and (rounded.maps == exact.maps).all()
