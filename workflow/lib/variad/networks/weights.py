"""Weights on disk: safetensors with their config as JSON in the metadata, and pickled checkpoints read safely."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.core.files import verify_recorded, verify_sha256, writing

CONFIG_KEY = "config"
# Libraries whose objects stand beside the weights in a training checkpoint: trainer state and its scores.
PASSED_OVER = ("pytorch_lightning.", "numpy.")


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
    state, metadata = _read(path, sha256)
    try:
        config: dict[str, Any] = json.loads(metadata[CONFIG_KEY])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: expected the model's config as JSON in the metadata, found {metadata}.") from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, config


def read_tensors(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of any safetensors file, as they are stored.

    Raises:
        UserError: no such file, another hash than ``sha256``, or not a safetensors file.
    """
    return _read(path, sha256)[0]


def _read(path: str | Path, sha256: str | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    _check_file(path, sha256)
    try:
        with safe_open(str(path), framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: expected a safetensors file, found: {error}.") from error


def load_checkpoint(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of a PyTorch checkpoint, below ``state_dict`` where it has one, as they are stored; no code of it is run.

    They stay in the file until they are read, so that what beside them fills a training checkpoint costs no memory.

    Raises:
        UserError: no such file, another hash than ``sha256``, a TorchScript archive, or anything but named tensors.
    """
    _check_file(path, sha256)
    try:
        with torch.serialization.safe_globals(_passed_over(path)):
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{path}: expected a PyTorch checkpoint of plain tensors, found: {_reason(error)}.") from error
    nested = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(nested, dict) or not all(isinstance(value, Tensor) for value in nested.values()):
        raise UserError(f"{path}: expected a dictionary of named tensors, found {type(nested).__name__}.")
    return dict(nested)


class _PassedOver:
    """What a checkpoint holds beside its weights, of a library that need not be installed; none of it is used."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _passed_over(path: str | Path) -> list[Any]:
    """Stand-ins for the classes of training libraries that the checkpoint names.

    The checkpoints of 2020 name their trainer's callbacks by class, which ``weights_only`` refuses.
    """
    if not zipfile.is_zipfile(path):
        return []
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    return [(_PassedOver, name) for name in names if name.startswith(PASSED_OVER)]


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if "torchscript" in text.lower():
        return "a TorchScript archive, which is a program; save its state_dict as safetensors instead"
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def fill(module: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """Copy ``state``, in whatever precision, into ``module``, whose keys and shapes it has to match.

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


def _check_file(path: str | Path, sha256: str | None) -> None:
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file of weights, found no such file.")
    if sha256 is not None:
        verify_sha256(path, sha256)
    else:
        verify_recorded(path)  # a download whose publisher gives no hash: the one that was noted when it came
