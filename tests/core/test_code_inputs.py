"""Which library files a script depends on."""

from pathlib import Path

import pytest

from variad.core.provenance import LIBRARY, library_files


def names(script):
    return {path.relative_to(LIBRARY).as_posix() for path in library_files(script)}


def test_imports_are_followed_and_nothing_else(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from variad.core.tables import read_table\nimport numpy\n")
    assert names(script) == {"__init__.py", "core/__init__.py", "core/tables.py", "core/errors.py", "core/files.py"}


def test_imports_for_type_checkers_do_not_count(tmp_path):
    script = tmp_path / "script.py"
    guarded = "if TYPE_CHECKING:\n    import variad.core.tables\nelse:\n    import variad.core.seeding\n"
    script.write_text(f"from typing import TYPE_CHECKING\n{guarded}")
    assert names(script) == {"__init__.py", "core/__init__.py", "core/seeding.py"}


def test_imports_inside_functions_count(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def f():\n    import variad.core.seeding\n")
    assert names(script) == {"__init__.py", "core/__init__.py", "core/seeding.py"}


@pytest.mark.parametrize(
    "around",
    [
        "class A:\n  def f(self):\n    {}",
        "with open('a') as b:\n  {}",
        "try:\n  {}\nexcept OSError:\n  pass",
        "try:\n  pass\nexcept OSError:\n  {}\nelse:\n  pass",
        "try:\n  pass\nfinally:\n  {}",
        "match 1:\n  case 1:\n    {}",
        "while True:\n  for a in ():\n    pass\n  else:\n    {}",
        "async def f():\n  async with a:\n    {}",
        "if a:\n  pass\nelif b:\n  {}",
    ],
)
def test_imports_count_wherever_a_statement_may_stand(around, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(around.format("import variad.core.seeding"))
    assert names(script) == {"__init__.py", "core/__init__.py", "core/seeding.py"}


def test_modules_imported_from_a_package_count(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from variad.generation import settings\n")
    assert names(script) == {
        "__init__.py",
        "generation/__init__.py",
        "generation/settings.py",
        "core/__init__.py",
        "core/errors.py",
        "core/files.py",
        "core/seeding.py",
    }


def test_aggregation_does_not_depend_on_generation():
    assert not {name for name in names("scripts/aggregate_category.py") if name.startswith("generation")}


def test_only_the_figure_depends_on_gains():
    module = LIBRARY / "report/gains.py"
    users = {path.stem for path in Path("scripts").glob("*.py") if module in library_files(path)}
    assert users == {"plot_gains"}
