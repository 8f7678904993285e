"""Simulated defects on photographs of textures, with masks that are exact by construction.

A defect is an effect blended in by a weight between 0 and 1 with soft edges. The mask is where the weight is at least
``EDGE``; below it the weight is set to 0, so that outside the mask the image *is* the clean one, bit for bit. A drawing
whose root mean square difference inside the mask stays below ``VISIBLE`` grey levels is thrown away and drawn again.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

KINDS = ("blur", "foreign", "scratch", "stain")
EDGE = 0.125
VISIBLE = 8.0

Grey = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float64]


def draw_defect(clean: Grey, kind: str, foreign: Grey, generator: np.random.Generator) -> tuple[Grey, Grey]:
    """Draw one defect on a tile.

    Args:
        clean: grey tile ``[S, S]``.
        kind: one of ``KINDS``: ``blur`` (structure lost), ``foreign`` (another texture of the same mean and spread),
            ``scratch`` (a thin bright or dark stroke), ``stain`` (a patch lighter or darker).
        foreign: tile of another texture, ``[S, S]``; used by ``foreign`` only.

    Returns:
        The tile with the defect, and its mask (0 or 255), both ``[S, S]``.
    """
    for _ in range(1000):
        weight = _stroke(len(clean), generator) if kind == "scratch" else _patch(len(clean), generator)
        weight[weight < EDGE] = 0
        effect = _effect(clean.astype(float), kind, foreign.astype(float), weight > 0, generator)
        drawn = np.clip(np.rint(clean + weight * (effect - clean)), 0, 255).astype(np.uint8)
        difference = drawn.astype(float)[weight > 0] - clean[weight > 0]
        if difference.size and np.sqrt(np.mean(difference**2)) >= VISIBLE:
            return drawn, np.where(weight > 0, 255, 0).astype(np.uint8)
    raise ValueError(f"no visible defect of kind {kind!r} fits on this tile; is it flat?")


def _effect(
    clean: Field, kind: str, foreign: Field, inside: npt.NDArray[np.bool_], generator: np.random.Generator
) -> Field:
    # Steps of brightness are in units of the texture's own spread, or they would drown in a rough texture.
    step = generator.choice((-1.0, 1.0)) * clean.std()
    level = clean[inside].mean()
    if kind == "scratch":
        return level + generator.uniform(1.8, 3.2) * step + 0.2 * (clean - level)
    if kind == "stain":
        return level + generator.uniform(0.8, 1.8) * step + 0.3 * (clean - level)
    if kind == "blur":
        return np.asarray(gaussian_filter(clean, generator.uniform(1.2, 2.5)))
    if kind == "foreign":
        spread = clean[inside].std() / max(foreign[inside].std(), 1.0)
        return np.asarray((foreign - foreign[inside].mean()) * spread + level)
    raise ValueError(f"unknown kind of defect {kind!r}")


def _patch(size: int, generator: np.random.Generator) -> Field:
    """An ellipse with an uneven, soft outline, wholly inside the tile; 1.5 to 7 % of its area."""
    radii = generator.uniform(0.07, 0.15, 2) * size
    row, column = generator.uniform(0.2, 0.8, 2) * size
    angle = generator.uniform(0, np.pi)
    rows, columns = np.mgrid[:size, :size] - np.array([row, column])[:, None, None]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    wobble = gaussian_filter(generator.standard_normal((size, size)), size / 16)
    outline = 1 + 0.15 * wobble / wobble.std() - np.hypot(along / radii[0], across / radii[1])
    return np.asarray(np.clip(outline / 0.4 + 0.5, 0, 1))


def _stroke(size: int, generator: np.random.Generator) -> Field:
    """A bent stroke of 1.2 to 2.4 px in a tile of 128, a quarter to a half of the tile long."""
    scale, length = 4, generator.uniform(0.25, 0.5) * size
    angle, bend = generator.uniform(0, 2 * np.pi), generator.uniform(-0.2, 0.2) * length
    centre = generator.uniform(0.3, 0.7, 2) * size
    along = np.array([np.cos(angle), np.sin(angle)])
    t = np.linspace(-0.5, 0.5, 33)[:, None]
    points = centre + length * t * along + bend * (4 * t**2 - 0.5) * along[::-1] * (1, -1)
    canvas = Image.new("L", (size * scale, size * scale))
    width = round(generator.uniform(1.2, 2.4) * scale * size / 128)
    ImageDraw.Draw(canvas).line(
        [tuple(point) for point in points * scale], fill=255, width=max(1, width), joint="curve"
    )
    drawn = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), float)
    soft = gaussian_filter(drawn, 0.6)
    return np.asarray(soft / max(soft.max(), 1.0))
