"""Weights on disk: safetensors with their config as JSON in the metadata, and pickled checkpoints read safely."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from variad.errors import UserError
from variad.files import verify_sha256, writing

CONFIG_KEY = "config"


def save_weights(path: str | Path, state: dict[str, Tensor], config: dict[str, Any], half: bool = True) -> None:
    """Write weights as safetensors, with ``config`` as JSON in the metadata; the same input gives the same bytes.

    Args:
        half: store floating-point tensors as float16, which halves the file.
    """
    kept = {name: _storable(tensor, half) for name, tensor in sorted(state.items())}
    with writing(path) as temporary:
        save_file(kept, temporary, metadata={CONFIG_KEY: json.dumps(config, sort_keys=True)})


def _storable(tensor: Tensor, half: bool) -> Tensor:
    plain = tensor.detach().cpu()
    if half and plain.is_floating_point():
        plain = plain.half()
    return plain.contiguous().clone()


def load_weights(path: str | Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and config of a file that ``save_weights`` wrote; floating-point tensors come back as float32.

    Raises:
        UserError: no such file, another hash than ``sha256``, not a safetensors file, or no config in its metadata.
    """
    _check_file(path, sha256)
    try:
        with safe_open(str(path), framework="pt") as stored:
            metadata = stored.metadata() or {}
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise UserError(f"{path}: expected a safetensors file, found: {error}.") from error
    try:
        config: dict[str, Any] = json.loads(metadata[CONFIG_KEY])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: expected the model's config as JSON in the metadata, found {metadata}.") from error
    return _full_precision(state), config


def load_checkpoint(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of a PyTorch checkpoint, below ``state_dict`` where it has one; float32, and no code of it is run.

    Raises:
        UserError: no such file, another hash than ``sha256``, or anything but named tensors inside.
    """
    _check_file(path, sha256)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: expected a PyTorch checkpoint of plain tensors, found: {reason}") from error
    nested = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(nested, dict) or not all(isinstance(value, Tensor) for value in nested.values()):
        raise UserError(f"{path}: expected a dictionary of named tensors, found {type(nested).__name__}.")
    return _full_precision(nested)


def fill(module: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """Copy ``state`` into ``module``, whose keys and shapes it has to match.

    Raises:
        UserError: names the first three keys that are missing or unknown, or the first tensor of another shape.
    """
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(state))
    if wrong:
        named = ", ".join(f"{key} ({'missing' if key in own else 'unknown'})" for key in wrong[:3])
        raise UserError(f"{source}: expected the weights of {type(module).__name__}, found wrong keys: {named}.")
    for key, tensor in own.items():
        if state[key].shape != tensor.shape:
            shapes = f"shape {list(tensor.shape)}, found {list(state[key].shape)}"
            raise UserError(f"{source}: {key}: expected {shapes}.")
    module.load_state_dict(state)


def _full_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _check_file(path: str | Path, sha256: str | None) -> None:
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file of weights, found no such file.")
    if sha256 is not None:
        verify_sha256(path, sha256)
