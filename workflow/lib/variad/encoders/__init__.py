"""Image-text encoders by the names that the config uses."""

from pathlib import Path

from variad.encoders.base import ImageTextEncoder
from variad.errors import UserError

KINDS = ("conse", "open_clip")


def load_encoder(
    kind: str,
    *,
    temperature: float = 1.5,
    resolution: int = 224,
    classes: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> ImageTextEncoder:
    """Load an encoder.

    Args:
        kind: ``conse`` or ``open_clip``.
        temperature, resolution, classes: of ``conse``: softmax temperature, side of the images that it sees, and
            the file of rule build_conse.
        model, weights: of ``open_clip``: the model's name, and a tag or a local file.

    Raises:
        UserError: an unknown kind, or one of its arguments is missing.
    """
    if kind == "conse":
        from variad.encoders.conse import load_conse

        if classes is None:
            raise UserError("encoder conse: expected the file of rule build_conse, found none.")
        return load_conse(classes, temperature, device, resolution)
    if kind == "open_clip":
        from variad.encoders.openclip import load_openclip

        if model is None or weights is None:
            raise UserError(f"encoder open_clip: expected model and weights, found {model!r} and {weights!r}.")
        return load_openclip(model, weights, device)
    raise UserError(f"encoder: expected a kind of {', '.join(KINDS)}, found '{kind}'.")
