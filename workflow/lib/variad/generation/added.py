"""The images that a recipe adds to the shots: in memory, in ``added.h5``, in batches while they are made, as PNGs."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from variad.core.checksums import damages_of, write_checksums
from variad.core.files import writing
from variad.core.images import Images
from variad.core.records import picture_rows
from variad.core.shortages import new_hdf5
from variad.generation.settings import Request

Arrays = dict[str, NDArray[np.generic]]


@dataclass
class AddedImages:
    """M added images; every array has length M unless it says otherwise.

    Attributes:
        images: uint8 RGB ``[K, S, S, 3]``, the pictures that they show, each once; K is M where ``picture`` is None.
        run: run that the image belongs to.
        parent: image_id of the image that it was made from: a shot, or an unlabelled photograph, which is its own.
        prompt: text that guided it; empty if none did.
        seed: seed of all its random numbers.
        similarity: cosine with the prompt after the last step; NaN if not guided.
        distance: root mean square difference from the parent's view, in units of the full range (0 to 1).
        accepted: only accepted images are trained on.
        picture: row of ``images`` that each shows; None where each shows its own.
        score: what an unlabelled photograph was chosen by, lower is more normal; NaN for images that were made.
        trace: per step, ``loss`` and ``similarity``, ``[M, iterations + 1]``; empty if not guided.
        steps: uint8 ``[K, T, S, S, 3]``: K of the images at T iterations, for looking at.
        steps_index, steps_iteration: which images, ``[K]``, and which iterations, ``[T]``.
    """

    images: Images
    run: NDArray[np.int64]
    parent: list[str]
    prompt: list[str]
    seed: NDArray[np.uint64]
    similarity: NDArray[np.float32]
    distance: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    picture: NDArray[np.int64] | None = None
    score: NDArray[np.float32] | None = None
    trace: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    steps: Images | None = None
    steps_index: NDArray[np.int64] | None = None
    steps_iteration: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, images: Images, requests: Sequence[Request], distance: NDArray[np.float32]) -> Self:
        """Images, one a request, that no text guided; all of them accepted."""
        count = len(requests)
        return cls(
            images=images,
            run=np.array([request.run for request in requests], np.int64),
            parent=[request.parent for request in requests],
            prompt=[""] * count,
            seed=np.array([request.seed for request in requests], np.uint64),
            similarity=np.full(count, np.nan, np.float32),
            distance=distance.astype(np.float32),
            accepted=np.ones(count, bool),
        )

    @property
    def shown(self) -> NDArray[np.int64]:
        """Row of ``images`` that each of the M shows."""
        return np.arange(len(self.images)) if self.picture is None else self.picture

    def pictures(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Images:
        """What some of the M images show, uint8 ``[len(rows), S, S, 3]``."""
        return self.images[self.shown[np.asarray(rows, np.int64)]]


def no_images(size: int) -> AddedImages:
    """An empty set of images with side ``size``."""
    return AddedImages.of(np.empty((0, size, size, 3), np.uint8), [], np.empty(0, np.float32))


def duplicate(parents: Images, requests: Sequence[Request]) -> AddedImages:
    """Add the parents as they are, uint8 ``[M, S, S, 3]``, one a request."""
    return AddedImages.of(parents, requests, np.zeros(len(parents), np.float32))


def write_added(path: str | Path, added: AddedImages, recipe: dict[str, Any]) -> None:
    """Write ``added.h5``; see ``docs/data_contracts.md``."""
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.attrs["recipe"] = json.dumps(recipe, sort_keys=True)
        chunk = (1, *added.images.shape[1:]) if len(added.images) else None
        file.create_dataset("images", data=added.images, chunks=chunk)
        for name in ("run", "seed", "similarity", "distance", "accepted"):
            file[name] = getattr(added, name)
        for name in ("parent", "prompt"):
            file.create_dataset(name, data=getattr(added, name), dtype=h5py.string_dtype())
        for name in ("picture", "score"):
            if getattr(added, name) is not None:
                file[name] = getattr(added, name)
        for name, values in added.trace.items():
            file[f"trace/{name}"] = values
        if added.steps is not None:
            for name in ("steps", "steps_index", "steps_iteration"):
                file[name] = getattr(added, name)


def read_added(path: str | Path) -> AddedImages:
    """Read ``added.h5``, without steps and trace."""
    with h5py.File(path) as file:
        texts: dict[str, Any] = {name: [str(text) for text in file[name].asstr()[:]] for name in ("parent", "prompt")}
        arrays: dict[str, Any] = {
            name: file[name][:] for name in ("images", "run", "seed", "similarity", "distance", "accepted")
        }
        arrays |= {name: file[name][:] for name in ("picture", "score") if name in file}
    return AddedImages(**texts, **arrays)


def read_usage(path: str | Path) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Run and acceptance of every added image, without reading the images."""
    with h5py.File(path) as file:
        return file["run"][:], file["accepted"][:]


def read_parents(path: str | Path) -> list[str]:
    """image_id of the photograph that every added image is or was made from, without reading the images."""
    with h5py.File(path) as file:
        return [str(name) for name in file["parent"].asstr()[:]]


def read_shown(path: str | Path, rows: Sequence[int]) -> NDArray[np.int64]:
    """The pictures that some added images show: rows of ``/images`` and of the features of added images."""
    with h5py.File(path) as file:
        return picture_rows(file)[np.asarray(rows, np.int64)]


def digest_of(parts: Iterable[bytes]) -> str:
    """A name for what decides the images: the same parts give the same name, others another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


class Chunks:
    """Finished batches of a training set that is being made, so that a killed job loses no more than the one in flight.

    A folder beside the file that they will be joined in, with one file a batch, named by the index of its first image.
    The folder's name holds ``digest``, so that batches of other settings, weights or shots are never joined.
    """

    def __init__(self, beside: str | Path, digest: str) -> None:
        self._stem = f".{Path(beside).stem}."
        self.folder = Path(beside).parent / f"{self._stem}{digest}"

    def kept(self) -> Iterator[Arrays]:
        """The batches that are there, from the first image on, up to the first that is missing or damaged."""
        start = 0
        while (path := self.folder / f"{start}.h5").is_file() and not damages_of(path):
            with h5py.File(path) as file:
                batch = {name: file[name][()] for name in file}
            start += len(batch["images"])
            yield batch

    def keep(self, start: int, batch: Arrays) -> None:
        """Keep a batch whose first image has index ``start``."""
        path = self.folder / f"{start}.h5"
        with writing(path) as temporary, new_hdf5(temporary) as file:
            for name, values in batch.items():
                file[name] = values
        write_checksums(path)

    def clear(self) -> None:
        """Delete these batches and those of other settings beside them."""
        for folder in self.folder.parent.glob(f"{self._stem}*"):
            if folder.is_dir():
                shutil.rmtree(folder)


def export_training_set(folder: Path, shots: Sequence[str], images: Images, added: AddedImages, run: int) -> int:
    """Write the shots and the accepted added images of one run as PNGs, for any other detector; returns how many.

    Shots keep their file's stem, with their folders before it where two have the same (``good_monday_020``); an added
    image is ``added_{row}``, its row in ``added.h5``.

    Args:
        images: the shots, uint8 ``[len(shots), S, S, 3]``.
    """
    rows = np.flatnonzero((added.run == run) & added.accepted)
    stems = Counter(Path(name).name for name in shots)
    named = [
        (Path(name).name if stems[Path(name).name] == 1 else "_".join(Path(name).parts[1:]), image)
        for name, image in zip(shots, images, strict=True)
    ]
    named += [(f"added_{row:05d}", image) for row, image in zip(rows, added.pictures(rows), strict=True)]
    for name, image in named:
        with writing(folder / f"{name}.png") as temporary:
            Image.fromarray(image).save(temporary)
    return len(named)
