"""A detector on its own: a bundle is opened once, and photographs get scores, answers, maps and regions.

The numbers are those of the workflow, bit for bit on one machine: a photograph goes the same way to the same functions
as a test image, and no image's numbers depend on the others that it is scored with. On a processor each has one core
for itself, from its file to its score: cores that share an image wait for each other (a fifth to a half is lost on
two), and sums would be added in another order than in the workflow's jobs.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Images
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import BundledDetector, DetectorInput, Scored, detector_class
from variad.inspect.answers import SEEN, Answer, Answers
from variad.inspect.bundle import Bundle, OpenBundle, read_bundle
from variad.inspect.regions import Region, find_regions
from variad.networks.backbones import rebuild_backbone
from variad.networks.features import batches_of_features, check_finite

READERS = 4  # photographs that are decoded at once, at most: large ones take a hundred megabytes each
Found = TypeVar("Found")


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

    def __init__(self, opened: OpenBundle, source: str | Path, device: str = "cpu", threads: int | None = None) -> None:
        """
        Args:
            source: where the bundle is from, for messages.
            threads: photographs that are read, and on a processor scored, at once; None is one for each core.

        Raises:
            UserError: its tensors are not those of its detector or backbone.
        """
        bundle = opened.bundle
        self.bundle: Bundle = bundle
        self.answers = Answers(bundle.held_out, bundle.quantiles)
        self.shots: Images = opened.shots
        self._seen = {image.get("sha256") for image in bundle.provenance["training_images"]}
        self.device, self.threads = device, threads or _cores()
        self._decoding = BoundedSemaphore(READERS)
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
    def open(cls, path: str | Path, device: str = "cpu", threads: int | None = None) -> Self:
        """Read a bundle; ``threads`` as for an ``Inspector``.

        Raises:
            UserError: as ``read_bundle``, or it holds other tensors than it says.
        """
        return cls(read_bundle(path), path, device, threads)

    def read(self, path: str | Path) -> Photograph:
        """Read a photograph of any format as the workflow packs it.

        Raises:
            UserError: as ``read_image``.
        """
        rule = self.bundle.pixels
        image, height, width, bits = rule.read_square(path)
        remarks = [SEEN] if self._was_seen(path) else []
        if bits != rule.bits:
            found = f"{bits} bits a value, where training photographs had {rule.bits}"
            remarks.append(f"{found}: its brightness may not be theirs")
        return Photograph(image, height, width, tuple(remarks))

    def _was_seen(self, path: str | Path) -> bool:
        """Whether the detector learned from the very same file."""
        try:
            return sha256(path) in self._seen
        except OSError as error:
            raise UserError(
                f"{path}: expected a photograph that stays where it is, found: {error.strerror}."
            ) from error

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """Threads whose work has one core each."""
        return ThreadPoolExecutor(self.threads, "inspect", torch.set_num_threads, (1,))

    def score(self, images: Images) -> Scored:
        """Scores ``[N]`` and patch maps ``[N, h, w]`` of images, uint8 RGB ``[N, S, S, 3]``."""
        if self.device != "cpu":
            return self._score(images)
        found = list(self._pool.map(self._score, images[:, None]))
        return Scored(np.concatenate([one.scores for one in found]), np.concatenate([one.maps for one in found]))

    def _score(self, images: Images) -> Scored:
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
        return self._pool.submit(self._inspect, path).result()

    def inspect_many(self, paths: Iterable[str | Path], batch: int = 8) -> Iterator[Inspection | Unread]:
        """Inspect photographs in their order; one that cannot be read is said, and the rest goes on.

        ``paths`` may be endless: few of them are taken ahead of what was given back, two for each thread, or three
        batches.

        Args:
            batch: photographs that a GPU scores together, which changes none of their numbers.
        """
        return self._one_by_one(iter(paths)) if self.device == "cpu" else self._by_batches(iter(paths), batch)

    def _one_by_one(self, paths: Iterator[str | Path]) -> Iterator[Inspection | Unread]:
        """Each thread takes a photograph from its file to its score."""
        ahead: deque[Future[Inspection | Unread]] = deque()
        try:
            for path in paths:
                ahead.append(self._pool.submit(self._or_say, self._inspect, path))
                while ahead and (ahead[0].done() or len(ahead) >= 2 * self.threads):
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()

    def _by_batches(self, paths: Iterator[str | Path], batch: int) -> Iterator[Inspection | Unread]:
        """Threads read the photographs of the next two batches while a GPU scores one."""

        def begin() -> list[Future[tuple[str, Photograph] | Unread]]:
            return [self._pool.submit(self._or_say, self._named, path) for path in islice(paths, batch)]

        ahead, following = begin(), begin()
        while ahead:
            yield from self._of_batch([reading.result() for reading in ahead])
            ahead, following = following, begin()

    def _named(self, path: str | Path) -> tuple[str, Photograph]:
        return str(path), self.read(path)

    def _or_say(self, work: Callable[[str | Path], Found], path: str | Path) -> Found | Unread:
        try:
            return work(path)
        except UserError as error:
            return Unread(str(path), str(error) if str(path) in str(error) else f"{path}: {error}")
        except MemoryError:
            return Unread(str(path), f"{path}: expected a photograph that fits into memory, found a larger one.")

    def _of_batch(self, batch: list[tuple[str, Photograph] | Unread]) -> Iterator[Inspection | Unread]:
        read = [found for found in batch if not isinstance(found, Unread)]
        try:
            scored: Iterator[Inspection | Unread] = iter(self._inspections(read))
        except UserError:  # one of them cannot be scored, and the others can
            scored = (self._alone(one) for one in read)
        for found in batch:
            yield found if isinstance(found, Unread) else next(scored)

    def _alone(self, photograph: tuple[str, Photograph]) -> Inspection | Unread:
        try:
            return self._inspections([photograph])[0]
        except UserError as error:
            return Unread(photograph[0], f"{photograph[0]}: {error}")

    def _inspect(self, path: str | Path) -> Inspection:
        with self._decoding:
            named = self._named(path)
        return self._inspections([named])[0]

    def _inspections(self, photographs: list[tuple[str, Photograph]]) -> list[Inspection]:
        if not photographs:
            return []
        scored = self._score(np.stack([photograph.image for _, photograph in photographs]))
        answers = self.answers
        return [
            Inspection(
                path,
                photograph.height,
                photograph.width,
                float(score),
                answers.calibrated(float(score)),
                answers.answer(float(score)),
                patch_map,
                photograph.remarks,
            )
            for (path, photograph), score, patch_map in zip(photographs, scored.scores, scored.maps, strict=True)
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


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
