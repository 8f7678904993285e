"""CLIP and its kin: any model of open_clip, with its own transform made differentiable.

The text tower sees as many positions as its texts have tokens, in place of its whole context: attention is causal and
the output is read at the end-of-text token, so what comes after it changes nothing. A prompt has about ten tokens,
CLIP's context 77: the same embeddings, up to rounding, for a sixth of the work.
"""

import copy
import difflib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from variad.core.errors import UserError
from variad.networks.features import fit
from variad.networks.weights import fill, load_tensors

TEXTS_A_BATCH = 256
RESIZE_MODES = ("shortest", "squash")
BESIDE_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # in OpenAI's state_dicts
SCALARS = {"logit_scale", "logit_bias"}  # [] in some files, [1] in others


class OpenClip:
    """An ``ImageTextEncoder`` around an open_clip model; see there for what it offers."""

    def __init__(self, name: str, model: Any, preprocess: dict[str, Any], tokenizer: Any, device: str) -> None:
        """
        Args:
            model: in evaluation mode, frozen.
            preprocess: ``size``, ``mean``, ``std``, ``resize_mode`` and ``interpolation`` of the model.
            tokenizer: texts and a context length to token ids.
        """
        self.name = name
        size = preprocess["size"]
        sides = {size} if isinstance(size, int) else set(size)
        if len(sides) != 1 or preprocess["resize_mode"] not in RESIZE_MODES:
            raise UserError(f"encoder {name}: expected square images, {' or '.join(RESIZE_MODES)}, found {preprocess}.")
        self.resolution = int(sides.pop())
        self.context_length = int(tokenizer.context_length)
        self._squash = preprocess["resize_mode"] == "squash"
        self._interpolation = preprocess["interpolation"]
        self._mean = torch.tensor(preprocess["mean"], device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(preprocess["std"], device=device).view(1, 3, 1, 1)
        self._model = model
        self._tokenizer = tokenizer
        self._dtype: torch.dtype | None = None  # of the weights, where they were cast

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of RGB images ``[B, 3, H, W]`` in [0, 1]; differentiable in the images."""
        fitted = fit(images, self.resolution, squash=self._squash, interpolation=self._interpolation)
        normalised = (fitted - self._mean) / self._std
        if self._dtype is None:
            return functional.normalize(self._model.encode_image(normalised), dim=-1)
        return functional.normalize(self._model.encode_image(normalised.to(self._dtype)).to(images), dim=-1)

    def cast(self, dtype: torch.dtype) -> "OpenClip":
        """The same encoder with weights of ``dtype``; images and embeddings stay float32."""
        other = copy.copy(self)
        other._model = copy.deepcopy(self._model).to(dtype=dtype, memory_format=torch.channels_last)
        other._dtype = dtype
        return other

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[B, D]`` of texts, without gradient; a UserError where one exceeds ``context_length``."""
        # open_clip cuts long texts without a word; one more token of room shows which ones it would cut
        longer = self._tokenizer(list(texts), context_length=self.context_length + 1)
        padding = getattr(getattr(self._tokenizer, "tokenizer", None), "pad_token_id", None) or 0
        for text, last in zip(texts, longer[:, -1], strict=True):
            if last != padding:
                raise UserError(
                    f"text {text!r}: expected at most {self.context_length} tokens for {self.name}, found more."
                )
        tokens = self._tokenizer(list(texts), context_length=self.context_length).to(self._mean.device)
        parts = [encode_short(self._model, part) for part in tokens.split(TEXTS_A_BATCH)]
        return functional.normalize(torch.cat(parts), dim=-1)


def load_openclip(model: str, weights: str | Path, device: str = "cpu", resolution: int | None = None) -> OpenClip:
    """Load an open_clip model, frozen, float32.

    Args:
        model: open_clip's name, such as ``ViT-B-16-quickgelu``.
        weights: open_clip's tag of published weights, such as ``openai``, or a local file (``.safetensors``, or a
            PyTorch checkpoint of tensors) under open_clip's or OpenAI's key names.
        resolution: side of the images that the encoder will be given, where the config says so.

    Raises:
        UserError: an unknown model or tag, weights that do not fit the model, another resolution than the model's, or
            no way to download them.
    """
    import open_clip

    _check_name(model, weights)
    local = Path(weights).is_file() and not open_clip.get_pretrained_cfg(model, str(weights))
    network = _create(model, None if local else str(weights), device)
    if local:
        _fill_from(network, weights)
    network.eval().requires_grad_(False)
    preprocess = open_clip.get_model_preprocess_cfg(network)
    encoder = OpenClip(f"{model}/{Path(weights).name}", network, preprocess, open_clip.get_tokenizer(model), device)
    if resolution not in (None, encoder.resolution):
        needed = f"expected cutouts of the {encoder.resolution} pixels that it needs"
        raise UserError(f"encoder {model}: {needed}, found resolution: {resolution}.")
    return encoder


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


def _create(model: str, tag: str | None, device: str) -> Any:
    """The network with the weights of a tag, or with random ones, without open_clip's warning of these."""
    import open_clip

    before = logging.root.manager.disable
    logging.disable(before if tag else logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            return open_clip.create_model(model, pretrained=tag, device=device, pretrained_text=False)
    except UserWarning as error:
        raise UserError(f"encoder {model}: expected the activation of '{tag}', found: {error}.") from error
    except (RuntimeError, OSError, ValueError, AssertionError) as error:  # open_clip asserts shapes
        reason = str(error).splitlines()[0]
        raise UserError(f"encoder {model}: expected '{tag}' to load or download, found: {reason}.") from error
    finally:
        logging.disable(before)


def _fill_from(network: Any, path: str | Path) -> None:
    """Copy a local file's weights into the network.

    open_clip's own loader would stretch position embeddings made for another resolution without a word.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in load_tensors(path).items()}
    own = network.state_dict()
    for key in BESIDE_WEIGHTS:
        if key not in own:
            state.pop(key, None)
    for key in SCALARS & own.keys() & state.keys():
        state[key] = state[key].reshape(own[key].shape)
    fill(network, state, path)


def encode_short(model: Any, tokens: Tensor) -> Tensor:
    """Embeddings ``[B, D]`` of token ids ``[B, T]``, not normalised, as the model's own ``encode_text`` gives them.

    Models whose text tower is not causal, or is read elsewhere than at its highest token (SigLIP, CoCa), see all of T.
    """
    longest = int(tokens.argmax(dim=-1).max()) + 1
    # open_clip's ``CLIP``: mask and positions are its own, pooled at the highest token id
    causal = getattr(model, "attn_mask", None) is not None and hasattr(model, "positional_embedding")
    if longest == tokens.shape[1] or not causal or getattr(model, "text_pool_type", None) != "argmax":
        whole: Tensor = model.encode_text(tokens)
        return whole
    shorter = {
        "model.positional_embedding": model.positional_embedding[:longest],
        "model.attn_mask": model.attn_mask[:longest, :longest],
    }
    embeddings: Tensor = functional_call(_TextTower(model), shorter, (tokens[:, :longest],))
    return embeddings


class _TextTower(nn.Module):
    """``encode_text`` as a module's call, which is what ``functional_call`` can give other tensors to."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        embeddings: Tensor = self.model.encode_text(tokens)
        return embeddings
