"""Centred ConSE: an image is the average of the names of the classes that a classifier sees in it.

Source: Norouzi et al. 2014 (ConSE); subtracting the mean of the class names is ours, and it is what makes the
embeddings of different images differ. This is not CLIP: no image took part in learning the text space.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from variad.encoders.base import fit
from variad.encoders.minilm import CONTEXT_LENGTH, MiniLM, load_minilm
from variad.errors import UserError

NAME = "conse"
RESOLUTION = 224


class ConSE:
    """An ``ImageTextEncoder`` made of a classifier and a sentence encoder; see ``variad.encoders.base``."""

    name = NAME
    context_length = CONTEXT_LENGTH

    def __init__(
        self,
        classify: Callable[[Tensor], Tensor],
        classes: Tensor,
        mean: Tensor,
        temperature: float = 1.5,
        resolution: int = RESOLUTION,
        load_text: Callable[[], MiniLM] = load_minilm,
    ) -> None:
        """
        Args:
            classify: images ``[B, 3, R, R]`` in [0, 1] to logits ``[B, K]``.
            classes: unit embeddings of the class names, ``[K, D]``.
            mean: what is subtracted from every text embedding, ``[D]``.
            temperature: divides the logits before the softmax (1 to 2 [assumed]).
            load_text: called when the first text is encoded, so that images alone need no sentence encoder.
        """
        self.resolution = resolution
        self._classify = classify
        self._centred_classes = classes - mean
        self._mean = mean
        self._temperature = temperature
        self._load_text = load_text
        self._text: MiniLM | None = None

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of RGB images ``[B, 3, H, W]`` in [0, 1]; differentiable in the images."""
        logits = self._classify(fit(images, self.resolution))
        with torch.autocast(logits.device.type, enabled=False):
            probabilities = (logits / self._temperature).softmax(dim=-1)
            return functional.normalize(probabilities @ self._centred_classes, dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[B, D]`` of texts, without gradient.

        Raises:
            UserError: a text is longer than the sentence encoder's context.
        """
        if self._text is None:
            self._text = self._load_text()
        embeddings = self._text.encode(texts).to(self._mean)
        return functional.normalize(embeddings - self._mean, dim=-1)


def load_conse(
    classes: str | Path, temperature: float = 1.5, device: str = "cpu", resolution: int = RESOLUTION
) -> ConSE:
    """Centred ConSE on EfficientNet-Lite0 and MiniLM.

    Args:
        classes: file of ``write_classes``.
        resolution: side of the images that the classifier sees, pixels.

    Raises:
        UserError: the file is missing or holds something else.
    """
    from variad.backbones import Lite0Backbone

    embeddings, mean = read_classes(classes)
    backbone = Lite0Backbone(["stage7"]).to(device)
    return ConSE(backbone.forward_logits, embeddings.to(device), mean.to(device), temperature, resolution)


def write_classes(path: str | Path, names: Sequence[str], text: MiniLM) -> None:
    """Embed class names and keep them, ``classes`` ``[K, D]`` and their mean ``mean`` ``[D]``, as safetensors."""
    from safetensors.torch import save_file

    from variad.files import writing

    embeddings = text.encode(names)
    with writing(path) as temporary:
        save_file({"classes": embeddings, "mean": embeddings.mean(dim=0)}, temporary)


def read_classes(path: str | Path) -> tuple[Tensor, Tensor]:
    """Embeddings ``[K, D]`` and mean ``[D]`` of a file of ``write_classes``.

    Raises:
        UserError: the file is missing or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        return tensors["classes"], tensors["mean"]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path}: expected embeddings of class names (rule build_conse), found: {error}.") from error
