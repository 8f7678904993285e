"""An inspector that needs no bundle and no torch: a photograph's score is its mean brightness, from 0 to 1."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from variad.core.errors import UserError
from variad.core.images import resize_square
from variad.inspect.answers import HeldOutScores
from variad.inspect.bundle import PixelRule

LOOK, BAD = 0.5, 0.8
SIDE = 32
GRID = 8


@dataclass(frozen=True)
class StandInInspection:
    path: str
    height: int
    width: int
    score: float
    calibrated: float
    answer: str | None
    patch_map: Any
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class StandInUnread:
    path: str
    reason: str


@dataclass(frozen=True)
class StandInRegion:
    left: int
    top: int
    width: int
    height: int
    area: int
    peak: float
    peak_x: int
    peak_y: int


class StandInAnswers:
    look, bad, pixel = LOOK, BAD, 0.9

    def answer(self, score: float) -> str:
        return "bad" if score > BAD else "look" if score > LOOK else "good"

    def multiple(self, score: float) -> float:
        return score / BAD

    def promise(self) -> str:
        return "5 held-out photographs promise little."


class StandIn:
    """The methods of ``Inspector`` that the command, the watch and the page use."""

    def __init__(self) -> None:
        self.answers = StandInAnswers()
        self.shots = np.stack([np.full((16, 16, 3), level, np.uint8) for level in (20, 60)])
        self.bundle = SimpleNamespace(
            product="mine/lid",
            class_name="bottle lid",
            provenance={"training_images": [{"image_id": "train/good/0"}, {"image_id": "train/good/1"}]},
            method="patchcore",
            pixels=PixelRule(SIDE),
            held_out=HeldOutScores(np.linspace(0.1, 0.5, 20), np.linspace(0.1, 0.5, 20), np.ones(20, bool)),
        )

    def read(self, path: str) -> tuple[Any, int, int]:
        pixels = self.bundle.pixels.read(path)
        return resize_square(pixels, SIDE), *pixels.shape[:2]

    def inspect_many(self, paths: Sequence[str], batch: int = 8) -> Iterator[Any]:
        for path in paths:
            try:
                image, height, width = self.read(path)
            except UserError as error:
                yield StandInUnread(path, str(error))
                continue
            grey = Image.fromarray(image).convert("L").resize((GRID, GRID), Image.Resampling.BOX)
            patches = np.asarray(grey, np.float32) / 255
            score = float(image.mean() / 255)
            yield StandInInspection(path, height, width, score, score, self.answers.answer(score), patches)

    def anomaly_map(self, found: StandInInspection) -> Any:
        small = Image.fromarray(found.patch_map)
        return np.asarray(small.resize((found.width, found.height), Image.Resampling.BILINEAR))

    def regions(self, found: StandInInspection) -> list[StandInRegion]:
        rows, columns = np.nonzero(self.anomaly_map(found) > self.answers.pixel)
        if not len(rows):
            return []
        left, top = int(columns.min()), int(rows.min())
        size = int(columns.max()) - left + 1, int(rows.max()) - top + 1
        return [StandInRegion(left, top, *size, len(rows), float(found.patch_map.max()), left, top)]
