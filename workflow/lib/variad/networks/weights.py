"""Weights on disk: safetensors with their config as JSON in the metadata, and pickled checkpoints read safely."""

import json
import pickle
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.core.files import verify_recorded, verify_sha256, writing

T = TypeVar("T")
CONFIG_KEY = "config"
# Libraries whose objects stand beside the weights in a training checkpoint: trainer state and its scores.
PASSED_OVER = ("pytorch_lightning.", "numpy.")


def save_weights(path: str | Path, state: dict[str, Tensor], config: dict[str, Any], half: bool = True) -> None:
    """Write weights as safetensors, with ``config`` as JSON in the metadata; the same input gives the same bytes.

    Args:
        half: store floating-point tensors as float16, which halves the file.
    """
    tensors = {}
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu()
        tensors[name] = (plain.half() if half and plain.is_floating_point() else plain).contiguous().clone()
    write_tensors(path, tensors, {CONFIG_KEY: json.dumps(config, sort_keys=True)})


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write contiguous tensors as they are; of several entries of ``metadata`` the order in the file is not fixed."""
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_weights(path: str | Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and config of a file that ``save_weights`` wrote; floating-point tensors come back as float32.

    Raises:
        UserError: no such file, another hash than ``sha256``, not a safetensors file, or no config in its metadata.
    """
    state, metadata = read_tensors(path, sha256)
    try:
        config: dict[str, Any] = json.loads(metadata[CONFIG_KEY])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: expected the model's config as JSON in the metadata, found {metadata}.") from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, config


def read_tensors(path: str | Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of any safetensors file, as they are stored.

    Raises:
        UserError: no such file, another hash than ``sha256``, or not a safetensors file.
    """
    _check_file(path, sha256)
    try:
        with safe_open(str(path), framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: expected a safetensors file, found: {error}.") from error


def config_from(kind: Callable[..., T], values: Mapping[str, Any], source: object, what: str) -> T:
    """The dataclass ``kind`` of values that come from outside.

    Raises:
        UserError: names ``source``, ``what`` was expected there, and a value that is missing or unknown.
    """
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"{source}: expected {what}, found: {error}.") from error


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of a PyTorch checkpoint, whichever its name says."""
    return read_tensors(path)[0] if Path(path).suffix == ".safetensors" else load_checkpoint(path)


def load_checkpoint(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of a PyTorch checkpoint, below ``state_dict`` where it has one, as they are stored; no code of it is run.

    They stay in the file until they are read, so that what beside them fills a training checkpoint costs no memory.

    Raises:
        UserError: no such file, another hash than ``sha256``, a TorchScript archive, or anything but named tensors.
    """
    _check_file(path, sha256)
    zipped = zipfile.is_zipfile(path)
    passed_over: list[Any] = []
    try:
        if zipped:  # checkpoints of 2020 name their trainer's callbacks by class, which ``weights_only`` refuses
            named = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
            passed_over = [(_PassedOver, name) for name in named if name.startswith(PASSED_OVER)]
        with torch.serialization.safe_globals(passed_over):
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
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
    check_keys(state, own, type(module).__name__, source)
    for key, tensor in own.items():
        check_shape(state[key], tensor.shape, key, source)
    module.load_state_dict(state)


def check_keys(found: Collection[str], wanted: Collection[str], network: str, source: str | Path) -> None:
    """Refuse weights whose keys are not the network's, naming the first three that are missing or unknown."""
    wrong = sorted(set(wanted) ^ set(found))
    if wrong:
        named = ", ".join(f"{key} ({'missing' if key in wanted else 'unknown'})" for key in wrong[:3])
        raise UserError(f"{source}: expected the weights of {network}, found wrong keys: {named}.")


def check_shape(found: Tensor, wanted: torch.Size, key: str, source: str | Path) -> None:
    """Refuse a tensor of another shape."""
    if found.shape != wanted:
        raise UserError(f"{source}: {key}: expected shape {list(wanted)}, found {list(found.shape)}.")


def _check_file(path: str | Path, sha256: str | None) -> None:
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file of weights, found no such file.")
    if sha256 is not None:
        verify_sha256(path, sha256)
    else:
        verify_recorded(path)  # a download whose publisher gives no hash: the one that was noted when it came
