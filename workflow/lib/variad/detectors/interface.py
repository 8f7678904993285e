"""What every detector is (fit on a training set, score images, save, load), and which ones there are.

The detectors are registered in ``METHODS`` and nowhere else; a config may also name a class in a user's own file,
``my_detector.py:MyDetector``. Nothing here needs torch, so that a plan is made at once."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import FeatureMaps, Images
from variad.core.own_code import check_own_class, constructor_arguments, load_own_class, own_file

Tensors = Mapping[str, Any]  # by name, NumPy's or torch's


@dataclass(frozen=True)
class DetectorInput:
    """N images as a detector sees them.

    Attributes:
        features: per layer of the detector's extractor, float32 ``[N, h, w, C]``.
        images: uint8 RGB ``[N, S, S, 3]``; None for a method whose ``uses_images`` is False.
    """

    features: FeatureMaps
    images: Images | None = None

    def rows(self, rows: Sequence[int] | slice) -> "DetectorInput":
        """Some of the images."""
        features = {layer: values[rows] for layer, values in self.features.items()}
        return DetectorInput(features, None if self.images is None else self.images[rows])


@dataclass(frozen=True)
class Extractor:
    """How features were made from images; ``resolution`` (pixels) before the centre ``crop``, None crops nothing."""

    backbone: str
    layers: tuple[str, ...]
    weights: str | None
    resolution: int
    crop: int | None


class Scored(NamedTuple):
    """Image scores ``[N]`` and anomaly maps ``[N, h, w]`` of any resolution, float32; higher is more anomalous."""

    scores: NDArray[np.float32]
    maps: NDArray[np.float32]


class Detector(Protocol):
    """A detector; its constructor takes the settings of its config entry, ``device``, and if it wants ``extractor``.

    Attributes:
        uses_images: whether it looks at images, not only at their features; it brings them to the resolution of its
            ``Extractor`` itself.
        map_sigma: of the Gaussian that its maps are smoothed with, pixels of the image that it sees; 0 is none.
    """

    uses_images: bool
    map_sigma: float

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Learn from normal images; ``generator`` draws every random number."""

    def score(self, images: DetectorInput) -> Scored:
        """Score images; a score depends on its own image alone, not on the others in the call."""

    def save(self, path: Path) -> None:
        """Write the fitted model as safetensors."""

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read a model that ``save`` wrote."""


class BundledDetector(Detector, Protocol):
    """A detector that a bundle can hold: those of ``METHODS``."""

    @classmethod
    def from_tensors(cls, tensors: Tensors, metadata: Mapping[str, str], device: str = "cpu") -> Self:
        """What ``load`` reads, of a file that ``save`` wrote: its tensors by name, and its metadata."""


METHODS = {  # where the class of each is
    "patchcore": "variad.detectors.patchcore:PatchCore",
    "cflow": "variad.detectors.cflow:CFlow",
    "reverse_distillation": "variad.detectors.reverse_distillation:ReverseDistillation",
    "efficientad": "variad.detectors.efficientad:EfficientAD",
}
# where a constructor takes all settings together, the dataclass that they are of
SETTINGS = {"efficientad": "variad.detectors.efficientad:EfficientADSettings"}
TEACHERS = ("pdn_small", "pdn_medium", "pdn_tiny")  # backbones that EfficientAD's student can learn from
SMALLEST_OF_TEACHERS = 64  # pixels
PATCHES = re.compile(r"vit_\w*patch(\d+)")  # of timm's vision transformers, pixels
LEVELS = 3  # of Reverse Distillation's decoder, where its settings say nothing of them


def create_detector(method: str, settings: dict[str, Any], extractor: Extractor, device: str = "cpu") -> Any:
    """A detector that is not fitted yet; ``extractor`` goes to constructors that name it among their arguments.

    Raises:
        UserError: no method has that name, or it has no such setting.
    """
    chosen = detector_class(method)
    given = {"extractor": extractor} if "extractor" in inspect.signature(chosen).parameters else {}
    try:
        return chosen(**settings, **given, device=device)
    except TypeError as error:
        raise UserError(f"detector {method}: expected settings that it knows, found {settings} ({error}).") from error


def detector_class(method: str) -> Any:
    """The class of a method; imported only when it is asked for.

    Raises:
        UserError: no method has that name, or a user's file has no such class.
    """
    if method in METHODS:
        module, name = METHODS[method].split(":")
        return getattr(importlib.import_module(module), name)
    check_method(method)
    return load_own_class(method, "detector")


def method_file(method: str) -> Path:
    """The Python file that a method's class is in.

    Raises:
        UserError: as ``check_method``.
    """
    check_method(method)
    return _file_of(METHODS[method]) if method in METHODS else Path(method.rsplit(":", 1)[0])


def check_method(method: str, settings: Collection[str] | None = None) -> None:
    """Check a method's name and, where settings are given, look into a user's own file, without running it.

    Args:
        settings: names that the constructor of a user's own detector has to know.

    Raises:
        UserError: a method is neither registered nor a class in a Python file that exists, or lacks a setting.
    """
    if method not in METHODS and own_file(method) is None:
        raise UserError(f"detector: expected a method among {', '.join(METHODS)}, or file.py:Class, found {method!r}.")
    if method not in METHODS and settings is not None:
        check_own_class(method, "detector", settings, given=("extractor", "device"))


def check_bundled(method: str) -> None:
    """Refuse a detector whose code is not the library's.

    Raises:
        UserError: a class of a user's own.
    """
    if method not in METHODS:
        raise UserError(
            f"bundle: expected a detector among {', '.join(METHODS)}, found {method!r}; its code would not travel with "
            "its weights."
        )


def _file_of(place: str) -> Path:
    return Path(__file__).with_name(place.partition(":")[0].rpartition(".")[2] + ".py")


def default_settings(method: str) -> dict[str, Any]:
    """The settings of a method of ``METHODS`` that have a default, with it; lists for tuples, as in a config.

    They are read in the text of the class, so that the plan, which asks for them, needs no torch.
    """
    place = SETTINGS.get(method, METHODS[method])
    module = ast.parse(_file_of(place).read_text("utf-8"))
    defaults = constructor_arguments(module, place.partition(":")[2]) or {}
    own = {name: value for name, value in defaults.items() if value and name not in ("device", "extractor")}
    read = {name: ast.literal_eval(value) for name, value in own.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in read.items()}


def check_extractor(config: Mapping[str, Any], name: str) -> None:
    """Check that a detector can learn from the features that it gets.

    Raises:
        UserError: a vision transformer's patches do not fill the images, Reverse Distillation has other levels than
            layers, or EfficientAD no teacher or images too small.
    """
    key, detector = f"detectors.{name}", config["detectors"][name]
    extractor = config["extractors"][detector["extractor"]]
    layers = detector["layers"] or extractor["layers"]
    side = extractor["crop"] or extractor["resolution"] or config["image_size"]
    patch = PATCHES.match(extractor["backbone"])  # their names say it, so that the plan needs no timm
    if patch and side % int(patch[1]):
        raise UserError(
            f"config key extractors.{detector['extractor']}: expected a resolution or crop that is a multiple of the "
            f"patches of {patch[1]} pixels of {extractor['backbone']}, found {side}."
        )
    if detector["method"] == "reverse_distillation":
        blocks = detector["settings"].get("blocks")
        if len(layers) != (LEVELS if blocks is None else len(blocks)):
            found = f"the default's {LEVELS}" if blocks is None else blocks
            raise UserError(
                f"config key {key}.settings.blocks: expected one number for each layer ({', '.join(layers)}), "
                f"found {found}."
            )
    if detector["method"] == "efficientad":
        backbone = extractor["backbone"]
        where = f"config key {key}.extractor: expected one for EfficientAD, "
        if backbone not in TEACHERS:
            raise UserError(f"{where}with a backbone of {', '.join(TEACHERS)}, found {backbone!r}.")
        if side < SMALLEST_OF_TEACHERS:
            raise UserError(f"{where}with images of at least {SMALLEST_OF_TEACHERS} pixels, found {side}.")


Range = tuple[str, Callable[[Any], bool]]  # what is expected of a setting, in words, and whether a value is that


def check_settings(method: str, settings: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Check settings, in the order of ``ranges``.

    Raises:
        UserError: one is out of its range; it is named.
    """
    for name, (expected, holds) in ranges.items():
        if not holds(settings[name]):
            raise UserError(f"{method}.{name}: expected {expected}, found {settings[name]!r}.")


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: Any) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


PRECISIONS = ("float32", "bfloat16")  # of a detector's products
COUNT: Range = ("a whole number of at least 1", is_count)
COUNT_OR_NULL: Range = ("null or a whole number of at least 1", lambda value: value is None or is_count(value))
