"""What `pip install .` gives: the inspector, with all files that it reads and no package that it does not need."""

import fnmatch
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_file_of_the_library_is_installed() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    library = ROOT / "workflow/lib/variad"
    files = [path for path in library.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert len(files) > 10
    for path in files:
        room, name = path.relative_to(library).as_posix().split("/", 1)
        assert any(fnmatch.fnmatch(name, pattern) for pattern in data.get(f"variad.{room}", [])), path


def test_lower_bounds_are_not_above_what_is_locked() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / "envs/requirements.lock").read_text("utf-8"), re.M))
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["timm"]]
    for requirement in wanted:
        name, bound = requirement.split(">=")
        numbers = [tuple(int(part) for part in version.split(".")) for version in (bound, locked[name])]
        assert numbers[0] <= numbers[1], requirement


@pytest.mark.slow
def test_a_wheel_has_the_library_its_files_and_the_command(tmp_path: Path) -> None:
    # a copy, as building leaves folders beside pyproject.toml
    for name in ("pyproject.toml", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "workflow").mkdir()
    subprocess.run(["cp", "-r", ROOT / "workflow/lib", tmp_path / "workflow/lib"], check=True)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        entry = wheel.read("variad-0.1.0.dist-info/entry_points.txt").decode()
    library = ROOT / "workflow/lib"
    expected = {
        path.relative_to(library).as_posix()
        for path in (library / "variad").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if name.startswith("variad/")} == expected
    assert "variad-inspect = variad.inspect.command:main" in entry
