"""The names of ImageNet's 1,000 classes, in the order of the logits."""

import ast
import importlib.util
from pathlib import Path

from variad.errors import UserError

PACKAGE = "open_clip"
FILE = "zero_shot_metadata.py"
VARIABLE = "IMAGENET_CLASSNAMES"


def imagenet_class_names() -> list[str]:
    """The curated names that open_clip uses for zero-shot classification.

    They are read out of its source file: importing open_clip takes seconds.

    Raises:
        UserError: open_clip is not installed or keeps its names elsewhere.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise UserError(f"{PACKAGE}: expected this package with the names of ImageNet's classes, found it missing.")
    return names_in(Path(found.origin).parent / FILE)


def names_in(path: Path) -> list[str]:
    """The literal list of names that a Python file assigns to ``IMAGENET_CLASSNAMES``.

    Raises:
        UserError: the file assigns no such list.
    """
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and any(_is_variable(target) for target in node.targets):
            return list(ast.literal_eval(node.value))
    raise UserError(f"{path}: expected a list {VARIABLE}, found none.")


def _is_variable(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == VARIABLE
