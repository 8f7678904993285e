"""Features of images that are computed when they are asked for: what few read need not lie on disk.

Features of added images would be most of a study's disk, and only the job that trains on them looks at them. torch is
imported with the first features, for a job that needs none does not wait for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from variad.core.images import FeatureMaps, Images, Tiles
from variad.core.records import BATCH, count_images, image_batches

if TYPE_CHECKING:
    from variad.networks.backbones import Backbone

KEPT = 2**30  # bytes of features that stay for who asks next


class FeaturesOnDemand:
    """Features of a file's images, computed when somebody asks for them, and kept nowhere.

    They are those that a file of features would hold, to the bit: an image is computed with the same others, whichever
    of them are wanted. Of what was computed last, ``KEPT`` bytes stay: runs ask one after another for neighbours.

    Args:
        images: an ``added.h5`` or ``images.h5``.
        load: the backbone, which is loaded when the first features are asked for.
        layers: those of its layers that are wanted.
        stored_as: what a file's numbers would be, ``float32`` or ``float16``; they come as float32 in either case.
    """

    def __init__(
        self,
        images: str | Path,
        load: "Callable[[], Backbone]",
        layers: Sequence[str],
        resolution: int | None = None,
        crop: int | None = None,
        stored_as: str = "float32",
        device: str = "cpu",
    ) -> None:
        self.images, self.load, self.layers = images, load, layers
        self.resolution, self.crop, self.stored_as, self.device = resolution, crop, stored_as, device
        self._backbone: Backbone | None = None
        self._kept: dict[int, FeatureMaps] = {}

    @classmethod
    def of(cls, images: str | Path, entry: Mapping[str, Any], layers: Sequence[str], device: str = "cpu") -> Self:
        """Of an entry of the config's section ``extractors``, whose own layers are all computed."""
        tiles = Tiles(**entry["tiles"]) if entry.get("tiles") else None

        def load() -> "Backbone":
            from variad.networks.backbones import load_backbone

            return load_backbone(entry["backbone"], entry["layers"], entry["weights"], tiles)

        return cls(images, load, layers, entry["resolution"], entry["crop"], entry["stored_as"], device)

    def __call__(self, rows: Sequence[int]) -> FeatureMaps:
        """Feature maps by layer, float32 ``[len(rows), h, w, C]``, in the order asked for.

        Raises:
            UserError: as for the backbone, or a feature is larger than float16 can hold.
        """
        wanted = np.asarray(rows, np.int64)
        batch = wanted // BATCH
        found: dict[str, Any] = {}
        for number, maps in self._batches(np.unique(batch).tolist() or [0]):
            places = np.flatnonzero(batch == number)
            for layer in self.layers:
                of_batch = maps[layer][wanted[places] - number * BATCH]
                if layer not in found:
                    found[layer] = np.empty((len(wanted), *of_batch.shape[1:]), np.float32)
                found[layer][places] = of_batch
        return found

    def _batches(self, numbers: Sequence[int]) -> Iterator[tuple[int, FeatureMaps]]:
        from variad.networks.features import check_finite

        kept = {number: self._kept[number] for number in numbers if number in self._kept}
        missing = [number for number in numbers if number not in kept]
        computed = self._computed(missing) if missing else iter(())
        for number in numbers:
            if number not in kept:
                maps = next(computed)
                check_finite(maps)
                self._keep(number, maps)
                yield number, maps
            else:
                yield number, kept[number]

    def _computed(self, numbers: Sequence[int]) -> Iterator[FeatureMaps]:
        from variad.networks.features import batches_of_features

        if self._backbone is None:
            self._backbone = self.load().to(self.device)
        count = count_images(self.images)
        batches: Iterator[Images] = (
            images
            for number in numbers
            for images in image_batches(self.images, BATCH, range(number * BATCH, min(count, (number + 1) * BATCH)))
        )
        if not count:  # the layers' shapes are known all the same
            side = self.resolution or self.crop or 224
            batches = iter([np.zeros((1, side, side, 3), np.uint8)])
        return batches_of_features(self._backbone, batches, self.resolution, self.crop, self.device, self.stored_as)

    def _keep(self, number: int, maps: FeatureMaps) -> None:
        self._kept[number] = {layer: maps[layer] for layer in self.layers}
        while sum(values.nbytes for of_one in self._kept.values() for values in of_one.values()) > KEPT:
            self._kept.pop(next(iter(self._kept)))
