"""The set-up behind `make demo` and `make test`: it repairs, refreshes, and does nothing when nothing is to be done."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_envs import ENVS, load


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module with locks of its own, whose packages are not really installed but counted."""
    module = load("install")
    for name in ("installer", "requirements", "requirements-test"):
        (tmp_path / f"{name}.lock").write_text(f"{name}==1\n", encoding="utf-8")
    module.installed = []
    monkeypatch.setattr(module, "ENVS", tmp_path)
    monkeypatch.setattr(module, "_install", lambda venv, lock: module.installed.append(lock.name))
    return module


@pytest.mark.slow
def test_sets_up_once(install: ModuleType, tmp_path: Path) -> None:
    venv = tmp_path / "a folder" / "venv"
    install.main(venv, "requirements")
    prefix = subprocess.check_output([venv / "bin" / "python", "-c", "import sys; print(sys.prefix)"], text=True)
    assert Path(prefix.strip()) == venv
    install.main(venv, "requirements")
    assert install.installed == ["requirements.lock"]


@pytest.mark.slow
def test_environment_of_the_tests_also_serves_a_run_but_not_the_other_way(install: ModuleType, tmp_path: Path) -> None:
    for lock in ("requirements", "requirements-test", "requirements"):
        install.main(tmp_path / "venv", lock)
    assert install.installed == ["requirements.lock", "requirements-test.lock"]


@pytest.mark.slow
def test_changed_lock_is_installed_into_the_same_environment(install: ModuleType, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    install.main(venv, "requirements")
    (venv / "kept").touch()
    (tmp_path / "requirements.lock").write_text("requirements==2\n", encoding="utf-8")
    install.main(venv, "requirements")
    assert install.installed == ["requirements.lock"] * 2
    assert (venv / "kept").exists()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["interrupted", "no python"])
def test_half_made_environment_is_made_again(
    install: ModuleType, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = tmp_path / "venv"
    if damage == "interrupted":
        with monkeypatch.context() as patch:
            patch.setattr(install, "_install", lambda venv, lock: sys.exit("interrupted"))
            with pytest.raises(SystemExit, match="interrupted"):
                install.main(venv, "requirements")
    else:
        install.main(venv, "requirements")
        (venv / "bin" / "python").unlink()
    (venv / "left over").touch()
    install.main(venv, "requirements")
    assert not (venv / "left over").exists()
    assert install._works(venv)
    assert install.installed[-1] == "requirements.lock"


@pytest.mark.slow
def test_moved_environment_is_made_again(install: ModuleType, tmp_path: Path) -> None:
    install.main(tmp_path / "here", "requirements")
    (tmp_path / "here").rename(tmp_path / "there")
    install.main(tmp_path / "there", "requirements")
    script = (tmp_path / "there" / "bin" / "pip").read_text(encoding="utf-8")
    assert str(tmp_path / "there") in script
    assert install.installed == ["requirements.lock"] * 2


def test_index_and_certificate_of_pip_are_handed_to_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install = load("install")
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nindex-url = https://one.test/simple\ncert = /a.pem\n", encoding="utf-8")
    for variable in ("PIP_INDEX_URL", "PIP_CERT", "UV_DEFAULT_INDEX", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setattr(install, "_python", lambda venv: sys.executable)
    assert install._settings_for_uv(tmp_path) == {
        "UV_DEFAULT_INDEX": "https://one.test/simple",
        "SSL_CERT_FILE": "/a.pem",
    }
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.test/simple")
    monkeypatch.setenv("SSL_CERT_FILE", "/b.pem")
    assert install._settings_for_uv(tmp_path) == {"UV_DEFAULT_INDEX": "https://two.test/simple"}


def test_pip_takes_over_when_uv_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install, calls = load("install"), []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command[2])
        return subprocess.CompletedProcess(command, int(command[2] == "uv"), stdout="")

    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(install, "_settings_for_uv", lambda venv: {})
    install._install(tmp_path, ENVS / "requirements.lock")
    assert calls == ["pip", "uv", "pip"]


def test_python_that_is_too_old_gets_a_sentence() -> None:
    source = (ENVS / "install.py").read_text(encoding="utf-8")
    old = f"import sys; sys.version_info = (3, 9, 2); exec(compile({source!r}, 'install.py', 'exec'))"
    found = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error: Python 3.11 or newer is needed") and "is 3.9.2" in found.stderr
    assert found.stderr.count("\n") == 1


def test_missing_venv_module_gets_a_sentence(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = install.importlib.util.find_spec
    monkeypatch.setattr(
        install.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name)
    )
    with pytest.raises(SystemExit, match=r"its module ensurepip is missing .*python3-venv"):
        install.main(tmp_path / "venv", "requirements")
