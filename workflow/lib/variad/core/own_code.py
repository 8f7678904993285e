"""Classes of a user's own, which a config names as ``file.py:Class``: looked into without running them, and loaded."""

import ast
import importlib.util
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from variad.core.errors import UserError


def own_file(place: str) -> Path | None:
    """The file of a place ``file.py:Class``; None if the words are no such place, or there is no such file."""
    path, _, name = place.rpartition(":")
    return Path(path) if name.isidentifier() and path.endswith(".py") and Path(path).is_file() else None


def load_own_class(place: str, what: str) -> Any:
    """Run the file of ``file.py:Class`` and give the class.

    Args:
        what: what the class is, in words for the message.

    Raises:
        UserError: the file has no such class.
    """
    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise UserError(f"{path}: expected a {what} class {name}, found none.")
    return getattr(module, name)


def check_own_class(place: str, what: str, settings: Collection[str], given: Collection[str]) -> None:
    """Look into the file of ``file.py:Class`` without running it.

    Args:
        what: what the class is, in words for the message.
        settings: names that the class's constructor has to know.
        given: arguments of the constructor that are no settings.

    Raises:
        UserError: the file is no Python, has nothing of that name, or the class's constructor lacks a setting.
    """
    path, _, name = place.rpartition(":")
    try:
        module = ast.parse(Path(path).read_bytes(), path)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: expected a Python file of a {what} in '{path}', found: {error}.") from error
    if not {name, "*", "__getattr__"} & set(_names_in(module)):
        raise UserError(f"{path}: expected a {what} class {name} in '{path}', found none.")
    arguments = constructor_arguments(module, name)
    if arguments is None:
        return
    known = [argument for argument in arguments if argument not in given]
    for setting in settings:
        if setting not in known:
            raise UserError(
                f"{path}: expected a class whose settings are {', '.join(known) or 'none'}, found {setting!r} "
                "among the settings."
            )


def _names_in(module: ast.Module) -> Iterator[str]:
    """All names that a file defines, assigns or imports, wherever it does."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def constructor_arguments(module: ast.Module, name: str) -> dict[str, ast.expr | None] | None:
    """Arguments of a class's own constructor, or fields of a dataclass, with their defaults.

    None where only running the module would tell.
    """
    classes = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name]
    parts = [part for node in classes for part in node.body]
    constructors = [part.args for part in parts if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
    if len(constructors) == 1 and constructors[0].kwarg is None:
        given = constructors[0]
        names = [argument.arg for argument in (*given.args[1:], *given.kwonlyargs)]
        defaults = [*[None] * len(names), *given.defaults, *given.kw_defaults]  # the last ones are those of the names
        return dict(zip(names, defaults[-len(names) :], strict=False))
    if constructors or len(classes) != 1 or classes[0].bases:
        return None
    if not any("dataclass" in ast.unparse(decorator) for decorator in classes[0].decorator_list):
        return None
    fields = [part for part in parts if isinstance(part, ast.AnnAssign)]
    return {field.target.id: field.value for field in fields if isinstance(field.target, ast.Name)}
