"""The rooms of the library: what lies where, and which way imports run."""

import ast
from pathlib import Path

import pytest

import variad

LIBRARY = Path(variad.__file__).parent
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.parent != LIBRARY)


def room_of(module: str) -> str:
    return module.split(".")[1]


def imported_modules(path: Path) -> set[str]:
    """Every ``variad.room...`` that a file names in an import, wherever in the file it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found.update(name for name in names if name.startswith("variad."))
    return found


def upward(room: str, modules: set[str]) -> list[str]:
    """The imports that a room may not make: of rooms that come after it."""
    return sorted(name for name in modules if variad.ROOMS.index(room_of(name)) > variad.ROOMS.index(room))


def test_every_module_is_in_a_room():
    assert [path.name for path in LIBRARY.glob("*.py")] == ["__init__.py"]
    assert {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(
        variad.ROOMS
    )
    assert {path.parent.name for path in MODULES} == set(variad.ROOMS)  # no packages within a room


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_imports_run_one_way(path):
    assert not upward(path.parent.name, imported_modules(path))


def test_an_import_that_runs_back_up_is_found(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from variad.report.gains import draw_gains\n    import variad.core.files\n")
    assert upward("detectors", imported_modules(module)) == ["variad.report.gains.draw_gains"]


@pytest.mark.parametrize("room", variad.ROOMS)
def test_a_room_says_what_is_inside(room):
    tree = ast.parse((LIBRARY / room / "__init__.py").read_text("utf-8"))
    assert "mport" in (ast.get_docstring(tree) or "")  # ... and what it may import
    assert len(tree.body) == 1  # nothing else: importing a room costs nothing


def test_no_two_classes_of_one_name():
    names = [
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(names) == sorted(set(names))
