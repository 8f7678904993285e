"""Photographs and textures that anyone may train on.

Used for the weights that ship with this project, so nothing of an evaluated category is among them: no ELPV, and not
scikit-image's ``brick``, ``grass`` and ``gravel``. Photographs whose licence scikit-image does not state (``moon``,
``page``, the stereo motorcycle) are left out, and so are faces, diagrams and test patterns. Each photograph's right
fifth and every tenth textile are held out for measuring.
"""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from variad.errors import UserError

Picture = NDArray[np.uint8]

# File in skimage/data: licence as scikit-image's documentation of that image states it.
PHOTOGRAPHS = {
    "astronaut.png": "public domain (NASA)",
    "camera.png": "CC0 (Lav Varshney)",
    "cell.png": "CC0",
    "chelsea.png": "CC0 (Stefan van der Walt)",
    "clock_motion.png": "public domain (Stefan van der Walt)",
    "coffee.png": "CC0 (Rachel Michetti)",
    "coins.png": "no known copyright restrictions",
    "hubble_deep_field.jpg": "public domain (NASA)",
    "ihc.png": "no known copyright restrictions (CMMI)",
    "microaneurysms.png": "CC0 (Andreas Maier)",
    "retina.jpg": "CC0 (Mikael Häggström)",
    "rocket.jpg": "public domain (SpaceX)",
    "text.png": "public domain",
}
HELD_OUT_TEXTILES = 10


def photographs(held_out: bool) -> list[Picture]:
    """The photographs' left four fifths, or their right fifth; uint8 ``[H, W, 3]``."""
    folder = _package("skimage") / "data"
    pictures = [_read(folder / name) for name in PHOTOGRAPHS]
    return [_part(picture, held_out) for picture in pictures]


def textiles(held_out: bool) -> list[Picture]:
    """The simulated textiles (MIT) in order of their names, nine of ten, or each tenth; uint8 ``[250, 250, 3]``."""
    folder = _package("conformal_clip_data") / "data" / "textile_images" / "simulated"
    paths = sorted(folder.glob("*/*.jpg"))
    return [_read(path) for place, path in enumerate(paths) if (place % HELD_OUT_TEXTILES == 0) == held_out]


def _package(name: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"training images: expected the package {name} to be installed, found none.")
    return Path(spec.submodule_search_locations[0])


def _part(picture: Picture, held_out: bool) -> Picture:
    border = picture.shape[1] * 4 // 5
    return np.ascontiguousarray(picture[:, border:] if held_out else picture[:, :border])


def _read(path: Path) -> Picture:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise UserError(f"{path}: expected an image of the installed package, found: {error}.") from error
