"""Blur, the null: what an image loses when it goes through a lower resolution. It should rank no detector."""

import numpy as np

from variad.anomalies.anomaly_file import Anomaly
from variad.errors import UserError
from variad.images import resize_square
from variad.records import Images


def blur(image: Images, resolution: int) -> Images:
    """``image`` (uint8 ``[S, S, 3]``) shrunk to ``resolution`` pixels and enlarged again, bicubic.

    Raises:
        UserError: the resolution is not below the image's.
    """
    side = image.shape[0]
    if resolution >= side:
        raise UserError(f"config key resolution: expected less than image_size = {side} to blur, found {resolution}.")
    return resize_square(resize_square(image, resolution), side)


def blurred(resolution: int, image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """A blurred image; nothing is drawn from ``generator``."""
    return Anomaly(blur(image, resolution), image_id, parameters={"resolution": resolution})
