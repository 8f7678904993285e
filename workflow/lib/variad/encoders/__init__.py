"""Image-text encoders by the names that the config uses."""

from pathlib import Path

from variad.encoders.base import ImageTextEncoder
from variad.errors import UserError

KINDS = ("conse", "open_clip")


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
        from variad.encoders.conse import RESOLUTION, load_conse

        if classes is None:
            raise UserError("encoder conse: expected the file of rule build_conse, found none.")
        return load_conse(classes, temperature, device, resolution or RESOLUTION)
    if kind == "open_clip":
        from variad.encoders.openclip import load_openclip

        if model is None or weights is None:
            raise UserError(f"encoder open_clip: expected model and weights, found {model!r} and {weights!r}.")
        return load_openclip(model, weights, device, resolution)
    raise UserError(f"encoder: expected a kind of {', '.join(KINDS)}, found '{kind}'.")
