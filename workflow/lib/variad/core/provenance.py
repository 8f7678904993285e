"""What a result was made from: the library files of a script, and the record beside a study's tables."""

import ast
import functools
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.files import sha256, writing

LIBRARY = Path(__file__).resolve().parents[1]
# where statements are in others: every call of Snakemake, and every job on a cluster, reads the whole library, and
# looking into expressions as well takes twice as long
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")
PACKAGES = (
    *("elpv-dataset", "faiss-cpu", "h5py", "nltk", "numpy", "open_clip_torch", "pandas", "pillow", "safetensors"),
    *(
        "scikit-image",
        "scipy",
        "snakemake",
        "taming-transformers-rom1504",
        "timm",
        "tokenizers",
        "torch",
        "torchvision",
    ),
)


def library_files(script: str | Path) -> list[Path]:
    """The files of ``variad`` that a Python file imports, directly or through others, sorted.

    A rule has them among its inputs, so that an edit reruns what depends on it and nothing else.
    Imports inside functions count too; those for type checkers alone do not, as nothing runs them. Data files beside a
    module (templates, styles) are not followed.
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
    waiting: list[Any] = [*ast.parse(path.read_text("utf-8"), str(path)).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_for_type_checkers(node.test):
            waiting.extend(node.orelse)
            continue
        for part in STATEMENTS:
            waiting.extend(getattr(node, part, ()))
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(path for name in names for path in _files_of(name))


def _is_for_type_checkers(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


@functools.cache
def _files_of(name: str) -> list[Path]:
    """The files that ``import name`` runs: the packages on the way, and the module if there is one."""
    parts = name.split(".")
    if parts[0] != LIBRARY.name:
        return []
    packages = [LIBRARY.joinpath(*parts[1:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in [*packages, LIBRARY.joinpath(*parts[1:]).with_suffix(".py")] if path.is_file()]


def digest_of(files: Sequence[str], packages: Sequence[str] = ()) -> str:
    """One SHA-256 of the contents of several files, whatever they are called and in whatever order they come.

    Args:
        packages: distributions whose versions count as well.
    """
    versions = [f"{name} {version_of(name)}" for name in packages]
    return hashlib.sha256("".join([*sorted(sha256(path) for path in files), *versions]).encode()).hexdigest()


def describe(
    config: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    packages: Sequence[str] = PACKAGES,
    repository: Path | None = None,
) -> dict[str, Any]:
    """Everything that a number can be traced to. Only ``machine`` tells where it ran; the rest depends on inputs alone.

    Args:
        config: the resolved configuration; its ``run.seed`` is the root seed.
        files: paths by kind (``weights``, ``manifests``, ``tables``); each is hashed.
        packages: distributions whose versions are recorded, null if not installed in this job's environment.
        repository: folder whose git commit is recorded; the current one when not given.

    Raises:
        UserError: a file is missing.
    """
    return {
        "config": dict(config),
        "root_seed": config.get("run", {}).get("seed"),
        "files": {kind: {str(path): _hash(path) for path in sorted(paths)} for kind, paths in sorted(files.items())},
        "packages": {name: version_of(name) for name in sorted(packages)},
        "git": git_state(repository or Path.cwd()),
        "machine": {"python": platform.python_version(), "platform": platform.platform()},
    }


def write_provenance(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON with sorted keys."""
    with writing(path) as temporary:
        text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, default=str)
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit of a checkout and whether tracked files changed since; None without a repository or git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _hash(path: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file to record the hash of, found none.")
    return sha256(path)


def version_of(name: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
