"""Finished batches of a training set that is being made, so that a killed job loses the batch in flight and no more."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.files import writing

Arrays = dict[str, NDArray[np.generic]]


def digest_of(parts: Iterable[bytes]) -> str:
    """A name for what decides the images: the same parts give the same name, others another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


class Chunks:
    """A folder with one file a batch, named by the index of its first image.

    The folder's name holds ``digest``, so that batches of other settings, weights or shots are never joined.
    """

    def __init__(self, beside: str | Path, digest: str) -> None:
        """
        Args:
            beside: the file that the batches will be joined in.
        """
        self._stem = f".{Path(beside).stem}."
        self.folder = Path(beside).parent / f"{self._stem}{digest}"

    def kept(self) -> Iterator[Arrays]:
        """The batches that are there, from the first image on, up to the first that is missing."""
        start = 0
        while (path := self.folder / f"{start}.h5").is_file():
            with h5py.File(path) as file:
                batch = {name: file[name][()] for name in file}
            start += len(batch["images"])
            yield batch

    def keep(self, start: int, batch: Arrays) -> None:
        """Keep a batch whose first image has index ``start``."""
        with writing(self.folder / f"{start}.h5") as temporary, h5py.File(temporary, "w") as file:
            for name, values in batch.items():
                file[name] = values

    def clear(self) -> None:
        """Delete these batches and those of other settings beside them."""
        for folder in self.folder.parent.glob(f"{self._stem}*"):
            if folder.is_dir():
                shutil.rmtree(folder)
