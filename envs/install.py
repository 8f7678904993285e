"""Make, refresh or repair the virtual environment that `make` uses: ``python envs/install.py .venv requirements``.

Standard library only, and readable by any Python since 3.6, so that one that is too old gets a sentence, no traceback.
The environment holds a stamp with the hash of the lock that it was made from; it is written last, so a set-up that was
interrupted is seen, and done again, by the next call.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"error: Python 3.11 or newer is needed, {sys.executable} is {found}; another: make PYTHON=python3.12")

ENVS = Path(__file__).resolve().parent
# The tools of the tests are pinned on top of the very same versions, so their environment also serves a run.
ALSO_SERVED_BY = {"requirements": ["requirements-test"], "requirements-test": [], "bench": []}


def main(venv: Path, lock: str) -> None:
    """Leave an environment at ``venv`` in which the packages of ``envs/<lock>.lock`` are installed."""
    stamp, unfinished = venv / "variad.stamp", venv / "variad.unfinished"
    serving = [_fingerprint(venv, name) for name in [lock, *ALSO_SERVED_BY[lock]]]
    if stamp.exists() and not unfinished.exists() and stamp.read_text() in serving and _works(venv):
        return
    started = time.monotonic()
    if venv.exists() and (unfinished.exists() or not _works(venv) or not _same_place(venv, stamp)):
        print(f"{venv}: left by an interrupted set-up, or moved; making it again", flush=True)
        shutil.rmtree(venv)
    _mark_unfinished(venv, unfinished)
    new = not _works(venv)
    first = f"new virtual environment, Python {sys.version.split()[0]}; " if new else ""
    print(f"{venv}: {first}installing {lock}.lock, 6.5 GB unpacked; a minute with a fast index", flush=True)
    if new:
        _make(venv)
    _install(venv, ENVS / f"{lock}.lock")
    stamp.write_text(serving[0])
    unfinished.unlink()
    print(f"{venv}: ready after {time.monotonic() - started:.0f} s", flush=True)


def _fingerprint(venv: Path, lock: str) -> str:
    # The place is part of it: a virtual environment does not survive being moved.
    return f"{venv.resolve()}\n{hashlib.sha256((ENVS / f'{lock}.lock').read_bytes()).hexdigest()}\n"


def _same_place(venv: Path, stamp: Path) -> bool:
    return not stamp.exists() or stamp.read_text().splitlines()[:1] == [str(venv.resolve())]


def _works(venv: Path) -> bool:
    command = [_python(venv), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _python(venv: Path) -> str:
    return str(venv / "bin" / "python")


def _mark_unfinished(venv: Path, unfinished: Path) -> None:
    try:
        venv.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
    except OSError as error:
        sys.exit(f"error: cannot write to {venv}: {error.strerror}")


def _make(venv: Path) -> None:
    missing = [module for module in ("venv", "ensurepip") if importlib.util.find_spec(module) is None]
    if missing:
        sys.exit(
            f"error: {sys.executable} cannot make virtual environments, its module {missing[0]} is missing "
            "(Debian and Ubuntu keep it in the package python3-venv)"
        )
    _run([sys.executable, "-m", "venv", str(venv)], "making the virtual environment")


def _install(venv: Path, lock: Path) -> None:
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    python = _python(venv)
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", *quiet, "-r"]
    # compiled once here: where Python may not write bytecode, hundreds of jobs would each compile their imports again
    options = ["--require-hashes", "--compile-bytecode", "--python", python, *quiet]
    uv = [python, "-m", "uv", "pip", "sync", *options, str(lock)]
    environment = {**os.environ, **_settings_for_uv(venv)}
    for command in ([*pip, str(ENVS / "installer.lock")], uv):
        if subprocess.run(command, env=environment, check=False).returncode:
            print(f"{venv}: uv did not do it; now with pip, which takes several minutes", flush=True)
            _run([*pip, str(lock)], f"installing {lock.name}")
            return


def _settings_for_uv(venv: Path) -> "dict[str, str]":
    """Pip's own index and certificate, as uv's environment variables: uv does not read pip's configuration."""
    command = [_python(venv), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    configured = dict(line.split("=", 1) for line in listed if "=" in line)
    settings = {}
    for key, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        values = [configured.get(f"{section}.{key}") for section in ("global", "install", ":env:")]
        for value in filter(None, values):  # the last one counts, as it does for pip
            settings[variable] = value.strip("'\"")
    return {variable: value for variable, value in settings.items() if variable not in os.environ}


def _run(command: "list[str]", doing: str) -> None:
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(f"error: {doing} failed with exit status {code}; see the lines above")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
