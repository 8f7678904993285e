"""What every detector is: fit on a training set, score images, save, load."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from variad.feature_files import FeatureMaps
from variad.records import Images


@dataclass(frozen=True)
class DetectorInput:
    """N images as a detector sees them.

    Attributes:
        features: per layer of the detector's extractor, float32 ``[N, h, w, C]``.
        images: uint8 RGB ``[N, S, S, 3]``; None for a method whose ``uses_images`` is False.
    """

    features: FeatureMaps
    images: Images | None = None


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
