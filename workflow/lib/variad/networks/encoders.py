"""What every image-text encoder offers, and how one is loaded by the name that the config uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from variad.core.errors import UserError

KINDS = ("conse", "open_clip")


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


@runtime_checkable
class CastableEncoder(Protocol):
    """An encoder whose image network can hold its weights in another precision, so that no step has to cast them."""

    def cast(self, dtype: torch.dtype) -> ImageTextEncoder:
        """The same encoder with weights of ``dtype``; images and embeddings stay float32."""
        ...


def load_encoder(
    kind: str,
    *,
    temperature: float = 1.5,
    resolution: int | None = None,
    classes: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> ImageTextEncoder:
    """Load an encoder.

    Args:
        kind: ``conse`` or ``open_clip``.
        temperature, classes: of ``conse``: softmax temperature, and the file of rule build_conse.
        resolution: side of the images that the encoder sees, pixels; None is 224 for ``conse`` and the model's own for
            ``open_clip``, which works at no other.
        model, weights: of ``open_clip``: the model's name, and a tag or a local file.

    Raises:
        UserError: an unknown kind, one of its arguments is missing, or a file or resolution that does not fit.
    """
    if kind == "conse":
        from variad.networks.conse import RESOLUTION, load_conse

        if classes is None:
            raise UserError("encoder conse: expected the file of rule build_conse, found none.")
        return load_conse(classes, temperature, device, resolution or RESOLUTION)
    if kind == "open_clip":
        from variad.networks.openclip import load_openclip

        if model is None or weights is None:
            raise UserError(f"encoder open_clip: expected model and weights, found {model!r} and {weights!r}.")
        return load_openclip(model, weights, device, resolution)
    raise UserError(f"encoder: expected a kind of {', '.join(KINDS)}, found '{kind}'.")
