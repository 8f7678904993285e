"""Which library files a script depends on, so that an edit reruns what depends on it and nothing else."""

import ast
import functools
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent


def library_files(script: str | Path) -> list[Path]:
    """The files of ``variad`` that a Python file imports, directly or through others, sorted.

    Imports inside functions count too. Data files beside a module (templates, styles) are not followed.
    """
    found: set[Path] = set()
    waiting = list(_imports(Path(script)))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return sorted(found)


@functools.cache
def _imports(path: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(path for name in names for path in _files_of(name))


def _files_of(name: str) -> list[Path]:
    """The files that ``import name`` runs: the packages on the way, and the module if there is one."""
    parts = name.split(".")
    if parts[0] != LIBRARY.name:
        return []
    packages = [LIBRARY.joinpath(*parts[1:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in [*packages, LIBRARY.joinpath(*parts[1:]).with_suffix(".py")] if path.is_file()]
