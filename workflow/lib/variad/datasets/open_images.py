"""Photographs and textures that anyone may train on, and pictures that are drawn where those are few.

Used for the weights that ship with this project, so nothing of an evaluated category is among them: no ELPV, and not
scikit-image's ``brick``, ``grass`` and ``gravel``. Photographs whose licence scikit-image does not state (``moon``,
``page``, the stereo motorcycle) are left out, and so are faces, diagrams and test patterns. Each photograph's right
fifth and every tenth textile are held out for measuring. What is drawn comes from random numbers, not from any data
set: lattices of lines under uneven light have what many industrial images have (bars, grids, gaps, speckle, blotches)
and few of the open photographs do.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import package_folder

Picture = NDArray[np.uint8]
Canvas = NDArray[np.float64]

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
    folder = package_folder("skimage", "training images") / "data"
    pictures = [_read(folder / name) for name in PHOTOGRAPHS]
    borders = [picture.shape[1] * 4 // 5 for picture in pictures]
    parts = [slice(border, None) if held_out else slice(border) for border in borders]
    return [np.ascontiguousarray(picture[:, part]) for picture, part in zip(pictures, parts, strict=True)]


def textiles(held_out: bool) -> list[Picture]:
    """The simulated textiles (MIT) in order of their names, nine of ten, or each tenth; uint8 ``[250, 250, 3]``."""
    folder = package_folder("conformal_clip_data", "training images") / "data" / "textile_images" / "simulated"
    paths = sorted(folder.glob("*/*.jpg"))
    return [_read(path) for place, path in enumerate(paths) if (place % HELD_OUT_TEXTILES == 0) == held_out]


def _read(path: Path) -> Picture:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise UserError(f"{path}: expected an image of the installed package, found: {error}.") from error


def drawn(count: int, side: int, generator: np.random.Generator) -> list[Picture]:
    """Pictures in turn of dead leaves, of a lattice of lines under uneven light, and of fractal noise.

    Args:
        count: number of pictures.
        side: their side in pixels.
        generator: decides all of them.

    Returns:
        uint8 ``[side, side, 3]``; dead leaves are coloured, lattices grey, noise either.
    """
    kinds = (dead_leaves, line_lattice, fractal_noise)
    pictures = (kinds[place % len(kinds)](side, generator) for place in range(count))
    return [np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8) for picture in pictures]


def dead_leaves(side: int, generator: np.random.Generator, leaves: int = 400) -> Canvas:
    """Overlapping discs and rectangles, radii by a power law, each with its own colour and grain; ``[side, side, 3]``.

    Source: the dead leaves model of Lee, Mumford and Huang (IJCV 2001), whose statistics are near natural images'.
    """
    rows, columns = np.mgrid[:side, :side]
    picture = np.ones((side, side, 3)) * generator.uniform(0, 1, 3)
    for _ in range(leaves):
        radius = min(side / 2, 2.0 * generator.uniform(1e-4, 1) ** -0.5)
        centre, turn = generator.uniform(0, side, 2), generator.uniform(0, np.pi)
        down, across = rows - centre[0], columns - centre[1]
        if generator.uniform() < 0.5:
            inside = down**2 + across**2 < radius**2
        else:
            along, aside = down * np.cos(turn) + across * np.sin(turn), across * np.cos(turn) - down * np.sin(turn)
            inside = (np.abs(along) < radius) & (np.abs(aside) < radius * generator.uniform(0.1, 1))
        grain = generator.normal(0, generator.uniform(0, 0.05), (int(inside.sum()), 1))
        picture[inside] = generator.uniform(0, 1, 3) + grain
    return picture


def line_lattice(side: int, generator: np.random.Generator) -> Canvas:
    """Thin and thick parallel lines and a frame over uneven light, blotches and speckle; grey, ``[side, side, 3]``."""
    level = generator.uniform(0.2, 0.8)
    light = level + generator.uniform(0, 0.25) * _clouds(side, generator, 2.5)
    light += generator.uniform(0, 0.15) * _clouds(side, generator, generator.uniform(0.8, 2.0))
    for spacing, width, depth in _line_families(side, generator):
        phase = (np.arange(side) + generator.uniform(0, spacing)) % spacing
        profile = depth * np.clip(width / 2 + 0.5 - np.abs(phase - spacing / 2), 0, 1)
        light -= profile[:, None] if generator.uniform() < 0.5 else profile[None, :]
    light *= 1 + generator.normal(0, generator.uniform(0.005, 0.04), (side, side))
    return np.repeat(light[..., None], 3, axis=2)


def _line_families(side: int, generator: np.random.Generator) -> list[tuple[float, float, float]]:
    """Spacing, width (pixels) and depth (of 1) of fine lines, of bars, and of the frame's gap."""
    fine = (generator.uniform(4, 16), generator.uniform(0.5, 2), generator.uniform(-0.05, 0.15))
    bars = (generator.uniform(side / 4, side), generator.uniform(4, 14), generator.uniform(-0.2, 0.5))
    gap = (generator.uniform(side / 2, side * 2), generator.uniform(2, 10), generator.uniform(0.1, 0.6))
    return [fine, bars, gap]


def fractal_noise(side: int, generator: np.random.Generator) -> Canvas:
    """Noise whose amplitude falls as frequency to a random power, grey or coloured; ``[side, side, 3]``."""
    power, contrast, level = generator.uniform(0.9, 2.4), generator.uniform(0.03, 0.25), generator.uniform(0.2, 0.8, 3)
    shared = _clouds(side, generator, power)
    if generator.uniform() < 0.5:
        return np.repeat(level[0] + contrast * shared[..., None], 3, axis=2)
    own = np.stack([_clouds(side, generator, power) for _ in range(3)], axis=2)
    return np.asarray(level + contrast * (0.7 * shared[..., None] + 0.5 * own))


def _clouds(side: int, generator: np.random.Generator, power: float) -> Canvas:
    """A random field with amplitude spectrum ``1 / frequency ** power``, mean 0 and standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(generator.normal(size=(side, side))) / frequency**power, s=(side, side))
    return np.asarray((field - field.mean()) / field.std())
