"""Training sets as folders of PNGs in MVTec's layout, for any other detector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from variad.files import writing
from variad.generation.added import AddedImages
from variad.records import Images


def export_training_set(folder: Path, shots: Sequence[str], images: Images, added: AddedImages, run: int) -> int:
    """Write the shots and the accepted added images of one run; returns how many.

    Shots keep their file's stem; an added image is ``added_{row}``, its row in ``added.h5``.

    Args:
        images: the shots, uint8 ``[len(shots), S, S, 3]``.
    """
    for name, image in zip(shots, images, strict=True):
        _write(folder / f"{Path(name).name}.png", image)
    rows = np.flatnonzero((added.run == run) & added.accepted)
    for row in rows:
        _write(folder / f"added_{row:05d}.png", added.images[row])
    return len(shots) + len(rows)


def _write(path: Path, image: Images) -> None:
    with writing(path) as temporary:
        Image.fromarray(image).save(temporary)
