"""Any model of open_clip, with its own transform made differentiable."""

import difflib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from variad.encoders.base import fit
from variad.errors import UserError

TEXTS_A_BATCH = 256
RESIZE_MODES = ("shortest", "squash")


class OpenClip:
    """An ``ImageTextEncoder`` around an open_clip model; see ``variad.encoders.base``."""

    def __init__(self, name: str, model: Any, preprocess: dict[str, Any], tokenizer: Any, device: str) -> None:
        """
        Args:
            model: in evaluation mode, frozen.
            preprocess: ``size``, ``mean``, ``std``, ``resize_mode`` and ``interpolation`` of the model.
            tokenizer: texts and a context length to token ids.
        """
        self.name = name
        self.resolution = _square_size(name, preprocess)
        self.context_length = int(tokenizer.context_length)
        self._squash = preprocess["resize_mode"] == "squash"
        self._interpolation = preprocess["interpolation"]
        self._mean = torch.tensor(preprocess["mean"], device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(preprocess["std"], device=device).view(1, 3, 1, 1)
        self._model = model
        self._tokenizer = tokenizer

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of RGB images ``[B, 3, H, W]`` in [0, 1]; differentiable in the images."""
        fitted = fit(images, self.resolution, squash=self._squash, interpolation=self._interpolation)
        return functional.normalize(self._model.encode_image((fitted - self._mean) / self._std), dim=-1)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[B, D]`` of texts, without gradient.

        Raises:
            UserError: a text has more tokens than the model's context.
        """
        tokens = self._tokens(texts).to(self._mean.device)
        parts = [self._model.encode_text(part) for part in tokens.split(TEXTS_A_BATCH)]
        return functional.normalize(torch.cat(parts), dim=-1)

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        # open_clip cuts long texts without a word; one more token of room shows which ones it would cut.
        longer = self._tokenizer(list(texts), context_length=self.context_length + 1)
        inner = getattr(self._tokenizer, "tokenizer", None)
        padding = getattr(inner, "pad_token_id", None) or 0
        for text, last in zip(texts, longer[:, -1], strict=True):
            if last != padding:
                raise UserError(f"text {text!r}: expected at most {self.context_length} tokens for {self.name}.")
        return self._tokenizer(list(texts), context_length=self.context_length)


def load_openclip(model: str, weights: str | Path, device: str = "cpu") -> OpenClip:
    """Load an open_clip model, frozen.

    Args:
        model: open_clip's name, such as ``ViT-B-16-quickgelu``.
        weights: open_clip's tag of published weights, such as ``openai``, or a local file.

    Raises:
        UserError: an unknown model or tag, weights that do not fit the model, or no way to download them.
    """
    import open_clip

    _check_name(model, weights)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="QuickGELU mismatch")
        try:
            network, _, _ = open_clip.create_model_and_transforms(model, pretrained=str(weights), device=device)
        except UserWarning as error:
            raise UserError(f"encoder {model}: expected the activation of '{weights}', found: {error}.") from error
        except (RuntimeError, OSError, ValueError, AssertionError) as error:  # open_clip asserts shapes
            reason = str(error).splitlines()[0]
            raise UserError(f"encoder {model}: expected '{weights}' to load or download, found: {reason}.") from error
    network.eval().requires_grad_(False)
    preprocess = open_clip.get_model_preprocess_cfg(network)
    return OpenClip(f"{model}/{Path(weights).name}", network, preprocess, open_clip.get_tokenizer(model), device)


def _check_name(model: str, weights: str | Path) -> None:
    import open_clip

    if model not in open_clip.list_models():
        close = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        hint = f" such as {', '.join(close)}" if close else ""
        raise UserError(f"encoder: expected the name of an open_clip model{hint}, found '{model}'.")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not open_clip.get_pretrained_cfg(model, str(weights)) and not Path(weights).is_file():
        known = f"one of the tags {', '.join(tags)} or a local file" if tags else "a local file (it has no tags)"
        raise UserError(f"encoder {model}: expected as weights {known}, found '{weights}'.")


def _square_size(name: str, preprocess: dict[str, Any]) -> int:
    size = preprocess["size"]
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1 or preprocess["resize_mode"] not in RESIZE_MODES:
        raise UserError(f"encoder {name}: expected square images, {' or '.join(RESIZE_MODES)}, found {preprocess}.")
    return int(sides.pop())
