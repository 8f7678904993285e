"""What every image-text encoder offers."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor
from torch.nn import functional


class ImageTextEncoder(Protocol):
    """Puts images and texts into one space; the cosine there says how well they match.

    Attributes:
        name: what the encoder is, with its weights.
        resolution: side of the square images that the network sees, pixels.
        context_length: most tokens that a text may have.
    """

    name: str
    resolution: int
    context_length: int

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of RGB images ``[B, 3, H, W]`` in [0, 1]; differentiable in the images."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[B, D]`` of texts, without gradient.

        Raises:
            UserError: a text is longer than ``context_length``.
        """
        ...


def fit(images: Tensor, resolution: int, *, squash: bool = False, interpolation: str = "bicubic") -> Tensor:
    """Bring ``[B, 3, H, W]`` to a square of ``resolution``, antialiased, clamped to [0, 1].

    The shorter side is resized and the centre cut out; ``squash`` ignores the aspect ratio instead. Images that have
    the size already are returned as they are.
    """
    height, width = images.shape[-2:]
    if (height, width) == (resolution, resolution):
        return images
    short = min(height, width)
    rows, columns = (resolution if squash else resolution * side // short for side in (height, width))
    resized = functional.interpolate(images, (rows, columns), mode=interpolation, antialias=True).clamp(0, 1)
    top, left = round((rows - resolution) / 2), round((columns - resolution) / 2)
    return resized[..., top : top + resolution, left : left + resolution]
