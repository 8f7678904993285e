"""Reading a cell's anomaly maps, small enough to look at."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from variad.errors import UserError


def map_path(maps: str | Path, run: int, category: str, image_id: str) -> Path:
    """Where the map of an image lies below a cell's folder ``maps`` (MVTec's evaluator layout inside each run)."""
    return Path(maps, f"run_{run}", category, f"{image_id}.tiff")


def first_kept_run(maps: str | Path) -> int | None:
    """The lowest run whose maps were kept, or nothing."""
    runs = [int(folder.name.removeprefix("run_")) for folder in Path(maps).glob("run_*")]
    return min(runs, default=None)


def read_map(path: str | Path, size: int) -> npt.NDArray[np.float32]:
    """Read a float32 map of any resolution as ``[size, size]``, averaged over the pixels that fall together.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    try:
        with Image.open(path) as stored:
            values = stored.convert("F") if stored.mode != "F" else stored
            shrinks = min(values.size) >= size
            method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            return np.array(values.resize((size, size), method), dtype=np.float32)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected the anomaly map of a scored image, found no such file; "
            "delete the folder of maps to have the cell scored again."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: expected an anomaly map as TIFF, found: {error}.") from error
