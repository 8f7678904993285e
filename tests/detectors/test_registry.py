import numpy as np
import pytest

from variad.core.errors import UserError
from variad.detectors.interface import (
    METHODS,
    DetectorInput,
    Extractor,
    check_method,
    create_detector,
    detector_class,
    method_file,
)

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
