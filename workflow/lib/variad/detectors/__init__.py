"""The detectors, registered here and nowhere else: a method's name, and where its class is.

A config may also name a class in a user's own file, ``my_detector.py:MyDetector``.
"""

import ast
import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from variad.errors import UserError

if TYPE_CHECKING:
    from variad.detectors.base import Extractor

METHODS = {
    "patchcore": "variad.detectors.patchcore.detector:PatchCore",
    "cflow": "variad.detectors.cflow.detector:CFlow",
    "reverse_distillation": "variad.detectors.reverse_distillation.detector:ReverseDistillation",
    "efficientad": "variad.detectors.efficientad.detector:EfficientAD",
}
# where a constructor takes all settings together, the dataclass that they are of
SETTINGS = {"efficientad": "variad.detectors.efficientad.settings:EfficientADSettings"}


def detector_class(method: str) -> Any:
    """The class of a method; imported only when it is asked for.

    Raises:
        UserError: no method has that name, or a user's file has no such class.
    """
    if method in METHODS:
        module, name = METHODS[method].split(":")
        return getattr(importlib.import_module(module), name)
    check_method(method)
    path, name = method.rsplit(":", 1)
    found = getattr(_load_file(Path(path)), name, None)
    if found is None:
        raise UserError(f"{path}: expected a detector class {name}, found none.")
    return found


def method_file(method: str) -> Path:
    """The Python file that a method's class is in.

    Raises:
        UserError: as ``check_method``.
    """
    check_method(method)
    return _file_of(METHODS[method]) if method in METHODS else Path(method.rsplit(":", 1)[0])


def default_settings(method: str) -> dict[str, Any]:
    """The settings of a method of ``METHODS`` that have a default, with it; lists for tuples, as in a config.

    They are read in the text of the class, so that the plan, which asks for them, needs no torch.
    """
    place = SETTINGS.get(method, METHODS[method])
    tree, name = ast.parse(_file_of(place).read_text("utf-8")), place.partition(":")[2]
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    pairs = [pair for node in body for pair in _defaults(node)]
    read = {name: ast.literal_eval(value) for name, value in pairs if name not in ("device", "extractor")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in read.items()}


def _defaults(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Of a constructor's arguments, or of a dataclass's field."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        return [(node.target.id, node.value)]
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        defaults = node.args.defaults
        names = [argument.arg for argument in node.args.args][-len(defaults) :]
        return list(zip(names, defaults, strict=True)) if defaults else []
    return []


def _file_of(place: str) -> Path:
    module = place.partition(":")[0].removeprefix(f"{__name__}.")
    return Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")


def check_method(method: str) -> None:
    """Raises:
    UserError: a method is neither registered nor a class in a Python file that exists.
    """
    path, _, name = method.rpartition(":")
    if method not in METHODS and not (name.isidentifier() and path.endswith(".py") and Path(path).is_file()):
        raise UserError(f"detector: expected a method among {', '.join(METHODS)}, or file.py:Class, found {method!r}.")


def create_detector(method: str, settings: dict[str, Any], extractor: "Extractor", device: str = "cpu") -> Any:
    """A detector that is not fitted yet; ``extractor`` goes to constructors that name it among their arguments.

    Raises:
        UserError: no method has that name, or it has no such setting.
    """
    chosen = detector_class(method)
    given = {"extractor": extractor} if "extractor" in inspect.signature(chosen).parameters else {}
    try:
        return chosen(**settings, **given, device=device)
    except TypeError as error:
        raise UserError(f"detector {method}: expected settings that it knows, found {settings} ({error}).") from error


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
