"""Reading what other rules packed: images, masks, shots and patch features of a category.

Nothing here needs torch, which takes seconds to import: detectors that do not train networks start at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import FeatureMaps, Images
from variad.core.tables import read_table


def read_image_ids(path: str | Path) -> list[str]:
    """The image_ids of an ``images.h5``, or of a file of features of real images, in its order."""
    return _strings(path, "image_id")


def _strings(path: str | Path, name: str) -> list[str]:
    with h5py.File(path) as file:
        return [str(value) for value in file[name].asstr()[:]]


BATCH = 32  # images that networks see together: sums are rounded by it, so that whoever has to agree takes the same
NAMES = ("image_id", "sha256")  # of rows: the image's, and the hash of its file


class RowsBefore:
    """What a file of rows held before it is made anew, so that a row of the same content is copied and not computed.

    Nothing is known of a file that is missing, damaged or was made in another way (attribute ``made_with``).

    Args:
        path: a file with the dataset ``/sha256`` ``[N]``, of what each of its rows was made from.
        made_with: stands for everything else that its rows depend on.
    """

    def __init__(self, path: str | Path, made_with: str) -> None:
        self.file: h5py.File | None = None
        self._row: dict[str, int] = {}
        try:
            self.file = h5py.File(path)
            if self.file.attrs["made_with"] != made_with:
                raise KeyError(made_with)
            self._row = {content: row for row, content in enumerate(self.file["sha256"].asstr()[:])}
        except (OSError, KeyError):
            self.__exit__(None, None, None)

    def __enter__(self) -> "RowsBefore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file is not None:
            self.file.close()
        self.file = None

    def unknown(self, contents: Sequence[str]) -> list[int]:
        """Positions of those contents that are not known."""
        return [place for place, content in enumerate(contents) if content not in self._row]

    def take_others(self, contents: Sequence[str], target: h5py.File) -> None:
        """Copy the rows of all contents that are known, in every dataset but names, which ``target`` may lack yet."""
        assert self.file is not None
        names = [name for name in self.file if name not in NAMES]
        for name in names:
            if name not in target:
                create_rows(target, name, (len(contents), *self.file[name].shape[1:]), self.file[name].dtype)
        for row, content in enumerate(contents):
            self.take(content, target, names, row)

    def take(self, content: str, target: h5py.File, names: Sequence[str], row: int) -> bool:
        """Copy the row of a content into a row of datasets of the same names and chunks; False if it is not known."""
        if self.file is None or content not in self._row:
            return False
        for name in names:
            source, wanted = self.file[name], target[name]
            if source.chunks == wanted.chunks == (1, *source.shape[1:]):  # as they are stored, compressed or not
                rest = (0,) * (source.ndim - 1)
                mask, chunk = source.id.read_direct_chunk((self._row[content], *rest))
                wanted.id.write_direct_chunk((row, *rest), chunk, mask)
            else:
                wanted[row] = source[self._row[content]]
        return True


def create_rows(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> h5py.Dataset:
    """A dataset without compression, a chunk for each row, of which every one has to be written.

    Rows lie in the file in their order, whichever is written first: so its bytes do not tell what was taken over.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return file.create_dataset(name, shape, dtype, chunks=(1, *shape[1:]) if shape[0] else None, dcpl=properties)


def read_images(paths: str | Path | Sequence[str | Path], image_ids: Sequence[str]) -> Images:
    """Images by image_id, uint8 RGB ``[N, S, S, 3]``, in the order asked for.

    Args:
        paths: an ``images.h5``, or those of several splits.

    Raises:
        UserError: an image_id is in none of the files.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    place = {name: (path, row) for path in paths for row, name in enumerate(read_image_ids(path))}
    missing = [name for name in image_ids if name not in place]
    if missing:
        raise UserError(f"{' and '.join(map(str, paths))}: expected image {missing[0]}, found no such image_id.")
    files = {path: h5py.File(path) for path in paths}
    try:
        stack = [files[path]["images"][row] for path, row in (place[name] for name in image_ids)]
        size = files[paths[0]]["images"].shape[1:]
    finally:
        for file in files.values():
            file.close()
    return np.stack(stack) if stack else np.empty((0, *size), np.uint8)


def read_masks(path: str | Path, image_ids: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Masks of those images that have one, bool ``[height, width]`` at the original size."""
    with h5py.File(path) as file:
        masks = file.get("masks", {})
        return {name: masks[name][:] > 0 for name in image_ids if name in masks}


def read_shots(path: str | Path, scenario: str) -> dict[int, list[str]]:
    """image_ids of the shots of every run of a scenario, in order.

    Raises:
        UserError: the table has no shots of that scenario.
    """
    table = read_table(path, "shots")
    chosen = table[table["scenario"] == scenario]
    if chosen.empty:
        raise UserError(f"{path}: expected shots of scenario {scenario}, found none.")
    runs = sorted({int(run) for run in chosen["run"]})
    return {run: list(chosen.loc[chosen["run"] == run, "image_id"]) for run in runs}


def read_training_ids(path: str | Path) -> list[str]:
    """image_ids of all training images that a ``shots.csv`` knows of: the shots of ``full_shot``.

    Raises:
        UserError: the table has no such scenario.
    """
    return sorted({name for shots in read_shots(path, "full_shot").values() for name in shots})


def image_side(path: str | Path) -> int:
    """Side S of the images of an ``images.h5``, pixels."""
    with h5py.File(path) as file:
        return int(file["images"].shape[1])


def count_images(path: str | Path) -> int:
    """Number of images of an ``images.h5``, or of pictures of an ``added.h5``."""
    with h5py.File(path) as file:
        return len(file["images"])


def optional_strings(path: str | Path, name: str) -> list[str] | None:
    """``image_id`` or ``sha256`` of an ``images.h5``; None for an ``added.h5``, whose images have neither."""
    with h5py.File(path) as file:
        named = name in file
    return _strings(path, name) if named else None


def picture_rows(file: h5py.File) -> NDArray[np.int64]:
    """Which row of ``/images`` each of the M images of an open ``added.h5`` shows, ``[M]``.

    Several may show one picture, as a photograph does that was added in several runs; then the file says so in
    ``/picture``. Where it has none, each shows its own. Features of added images lie in the order of ``/images``.
    """
    if "picture" in file:
        rows: NDArray[np.int64] = file["picture"][:]
        return rows
    return np.arange(len(file["images"]) if "images" in file else 0)


def image_batches(path: str | Path, size: int = BATCH, rows: Sequence[int] | None = None) -> Iterator[Images]:
    """The images of an ``images.h5`` or ``added.h5``, in batches: some rows, in increasing order, or all of them."""
    with h5py.File(path) as file:
        wanted = range(len(file["images"])) if rows is None else rows
        for start in range(0, len(wanted), size):
            yield file["images"][list(wanted[start : start + size])]


def read_features(path: str | Path, layers: Sequence[str], rows: Sequence[int] | None = None) -> FeatureMaps:
    """Feature maps by layer, ``[N, h, w, C]``: some rows (all of them if None), in the order asked for.

    They are float32, also where the file holds float16.
    """
    with h5py.File(path) as file:
        missing = [layer for layer in layers if layer not in file]
        if missing:
            raise UserError(f"{path}: expected features of layer {missing[0]}, found {', '.join(file)}.")
        if rows is None:
            return {layer: file[layer][:].astype(np.float32, copy=False) for layer in layers}
        return {layer: _rows(file[layer], rows) for layer in layers}


def _rows(data: h5py.Dataset, rows: Sequence[int]) -> NDArray[np.float32]:
    # h5py wants increasing indices without repetition, callers want any order
    wanted, back = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
    if not len(wanted):
        return np.empty((0, *data.shape[1:]), np.float32)
    values: NDArray[np.float32] = data[wanted].astype(np.float32, copy=False)[back]
    return values
