"""A detector on its own: a bundle is opened once, and photographs get scores, answers, maps and regions.

The numbers are those of the workflow, bit for bit on one machine: a photograph goes the same way to the same functions
as a test image, and no image's numbers depend on the others that it is scored with.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Images, read_image, resize_square
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import BundledDetector, DetectorInput, Scored, detector_class
from variad.inspect.answers import Answer, Answers
from variad.inspect.bundle import Bundle, OpenBundle, read_bundle
from variad.inspect.regions import Region, find_regions
from variad.networks.backbones import rebuild_backbone
from variad.networks.features import batches_of_features, check_finite

READERS = 4  # threads that decode photographs, at most
SEEN = "seen in training, so that its score is low whatever it shows"


@dataclass(frozen=True)
class Inspection:
    """One photograph that was scored.

    Attributes:
        path: as it was given; height, width: as it is seen upright, pixels.
        score: higher is more anomalous; calibrated: the share of held-out good photographs below it, 0 to 1.
        answer: None where no threshold could be set.
        patch_map: float32 ``[h, w]``, the detector's own grid.
        remarks: phrases that say why its score may be worth less.
    """

    path: str
    height: int
    width: int
    score: float
    calibrated: float
    answer: Answer | None
    patch_map: NDArray[np.float32]
    remarks: tuple[str, ...] = ()


class Unread(NamedTuple):
    """A photograph that could not be used, and why in one sentence."""

    path: str
    reason: str


class Photograph(NamedTuple):
    """A photograph as the detector sees it, uint8 RGB ``[S, S, 3]``, its own size upright, pixels, and remarks."""

    image: NDArray[np.uint8]
    height: int
    width: int
    remarks: tuple[str, ...]


class Inspector:
    """A bundle that is ready to score.

    Attributes:
        bundle: what it says of itself; answers: its thresholds and words.
        shots: small pictures of training photographs, uint8 RGB ``[K, s, s, 3]``.
    """

    def __init__(self, opened: OpenBundle, source: str | Path, device: str = "cpu") -> None:
        """
        Args:
            source: where the bundle is from, for messages.

        Raises:
            UserError: its tensors are not those of its detector or backbone.
        """
        bundle = opened.bundle
        self.bundle: Bundle = bundle
        self.answers = Answers(bundle.held_out, bundle.quantiles)
        self.shots: Images = opened.shots
        self._seen = {image.get("sha256") for image in bundle.provenance["training_images"]}
        self.device = device
        if device != "cpu":  # torch convolves in TF32 unless told not to
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        tensors = {name: torch.from_numpy(values) for name, values in opened.backbone.items()}
        extractor = bundle.extractor
        rebuilt = rebuild_backbone(extractor.backbone, extractor.layers, tensors, source, extractor.tiles)
        self.backbone = rebuilt.to(device)
        try:
            kind: type[BundledDetector] = detector_class(bundle.method)
            self.detector = kind.from_tensors(opened.detector, opened.metadata, device)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{source}: expected the tensors of {bundle.method}, found others: {error!r}.") from error

    @classmethod
    def open(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read a bundle.

        Raises:
            UserError: as ``read_bundle``, or it holds other tensors than it says.
        """
        return cls(read_bundle(path), path, device)

    def read(self, path: str | Path) -> Photograph:
        """Read a photograph of any format as the workflow packs it.

        Raises:
            UserError: as ``read_image``.
        """
        rule, raw = self.bundle.pixels, read_image(path)
        pixels, bits = rule.rgb8(raw), 8 * raw.itemsize
        image = resize_square(pixels, rule.image_size)
        remarks = [SEEN] if self._was_seen(path) else []
        if bits != rule.bits:
            remarks.append(
                f"{bits} bits a value, where training photographs had {rule.bits}: its brightness may not be theirs"
            )
        return Photograph(image, pixels.shape[0], pixels.shape[1], tuple(remarks))

    def _was_seen(self, path: str | Path) -> bool:
        """Whether the detector learned from the very same file."""
        try:
            return sha256(path) in self._seen
        except OSError as error:
            raise UserError(
                f"{path}: expected a photograph that stays where it is, found: {error.strerror}."
            ) from error

    def score(self, images: Images) -> Scored:
        """Scores ``[N]`` and patch maps ``[N, h, w]`` of images, uint8 RGB ``[N, S, S, 3]``."""
        extractor, stored_as = self.bundle.extractor, self.bundle.stored_as
        given = (self.backbone, [images], extractor.resolution, extractor.crop, self.device, stored_as)
        (maps,) = batches_of_features(*given)
        check_finite(maps)
        features = {layer: maps[layer].astype(np.float32, copy=False) for layer in extractor.layers}
        return self.detector.score(DetectorInput(features, images if self.detector.uses_images else None))

    def inspect(self, path: str | Path) -> Inspection:
        """Read and score one photograph.

        Raises:
            UserError: it cannot be read.
        """
        photograph = self.read(path)
        return self._inspections([str(path)], [photograph])[0]

    def inspect_many(self, paths: Iterable[str | Path], batch: int = 8) -> Iterator[Inspection | Unread]:
        """Inspect photographs in their order; one that cannot be read is said, and the rest goes on.

        Threads decode the next photographs while others are scored. ``paths`` may be endless: no more than three
        batches of it are taken ahead of what was given back.

        Args:
            batch: photographs that are scored together, which changes none of their numbers.
        """
        waiting = iter(paths)
        readers = min(READERS, max(1, torch.get_num_threads()))
        with ThreadPoolExecutor(readers, "decode") as pool:

            def begin() -> list[tuple[str, Future[Photograph | Unread]]]:
                return [(str(path), pool.submit(self._read_or_say, path)) for path in islice(waiting, batch)]

            ahead, following = begin(), begin()
            while ahead:
                yield from self._of_batch([(path, reading.result()) for path, reading in ahead])
                ahead, following = following, begin()

    def _read_or_say(self, path: str | Path) -> Photograph | Unread:
        try:
            return self.read(path)
        except UserError as error:
            return Unread(str(path), str(error))
        except MemoryError:
            return Unread(str(path), f"{path}: expected a photograph that fits into memory, found a larger one.")

    def _of_batch(self, batch: list[tuple[str, Photograph | Unread]]) -> Iterator[Inspection | Unread]:
        read = [(path, found) for path, found in batch if isinstance(found, Photograph)]
        try:
            scored: Iterator[Inspection | Unread] = iter(
                self._inspections([path for path, _ in read], [photograph for _, photograph in read])
            )
        except UserError:  # one of them cannot be scored, and the others can
            scored = iter([self._inspect_or_say(path, photograph) for path, photograph in read])
        for _, found in batch:
            yield found if isinstance(found, Unread) else next(scored)

    def _inspect_or_say(self, path: str, photograph: Photograph) -> Inspection | Unread:
        try:
            return self._inspections([path], [photograph])[0]
        except UserError as error:
            return Unread(path, f"{path}: {error}")

    def _inspections(self, paths: list[str], photographs: list[Photograph]) -> list[Inspection]:
        if not photographs:
            return []
        scored = self.score(np.stack([photograph.image for photograph in photographs]))
        return [
            Inspection(
                path,
                photograph.height,
                photograph.width,
                float(score),
                self.answers.calibrated(float(score)),
                self.answers.answer(float(score)),
                patch_map,
                photograph.remarks,
            )
            for path, photograph, score, patch_map in zip(paths, photographs, scored.scores, scored.maps, strict=True)
        ]

    def map_size(self, inspection: Inspection) -> MapSize:
        """How a photograph's patch map becomes a map of its own size."""
        extractor = self.bundle.extractor
        return MapSize(
            inspection.height, inspection.width, extractor.resolution, extractor.crop, self.detector.map_sigma
        )

    def anomaly_map(self, inspection: Inspection) -> NDArray[np.float32]:
        """The anomaly map at the photograph's own size, float32 ``[height, width]``, as the workflow keeps maps."""
        return full_size_map(inspection.patch_map, self.map_size(inspection), self.device)

    def regions(self, inspection: Inspection) -> list[Region]:
        """Where the map is above its threshold, in the photograph's pixels; none without a threshold."""
        if self.answers.pixel is None:
            return []
        return find_regions(inspection.patch_map, self.map_size(inspection), self.answers.pixel)
