"""Heat maps of unlabelled images: one PNG an image, named by its rank."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from variad.files import writing
from variad.report.colour_map import colour_scale
from variad.report.heatmaps import overlay
from variad.report.real_images import open_real_images


def draw_predictions(
    folder: Path, images: str | Path, maps: Mapping[str, NDArray[np.float32]], predictions: pd.DataFrame
) -> None:
    """Write ``{rank}_{stem}.png``: the image with its anomaly map laid over it, at the original size.

    All share one colour scale, so that they can be compared.
    """
    low, high = colour_scale(list(maps.values()))
    with open_real_images(images) as real:
        for rank, name in zip(predictions["rank"], predictions["image_id"], strict=True):
            height, width = maps[name].shape
            image = Image.fromarray(real.image(name)).resize((width, height), Image.Resampling.BICUBIC)
            blended = overlay(np.asarray(image), maps[name], low, high)
            with writing(folder / f"{rank:04d}_{Path(name).name}.png") as temporary:
                Image.fromarray(blended).save(temporary)
