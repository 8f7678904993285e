"""docs/inspector.md: every command of it, in its order, as it stands there; and that little is needed to inspect."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.signals import heed_interrupts
from variad.core.files import sha256
from variad.core.tables import read_table
from variad.inspect.results import COLUMNS

from .documents import blocks
from .running import ROOT, TINY

pytestmark = pytest.mark.slow

CELL = "results/mine/lid/full_shot/unlabelled/patchcore"
MAKES_BUNDLE, INSPECTS, WATCHES, SERVES = blocks("inspector", "sh")
PYTHON, WITHOUT_TORCH = blocks("inspector", "python")


def photograph(path: Path, seed: int, mark: bool = False) -> None:
    """A patterned lid, 90 x 120 pixels; a defect is a black patch of 25 x 30."""
    pattern = Image.fromarray(np.random.default_rng(7).integers(90, 160, (9, 12, 3), dtype=np.uint8))
    pixels = np.asarray(pattern.resize((120, 90), Image.Resampling.BICUBIC)).astype(int)
    pixels += np.random.default_rng(seed).integers(-9, 10, pixels.shape)
    if mark:
        pixels[30:55, 40:70] = 5
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as a user has it, as small as can be: photographs, config, and both commands."""
    home = tmp_path_factory.mktemp("inspector")
    for number in range(6):
        photograph(home / f"photos/lid/train/good/{number}.png", number)
        photograph(home / f"photos/lid/unlabelled/{number}.png", 100 + number)
        photograph(home / f"tomorrow/{number}.png", 300 + number)
    photograph(home / "photos/lid/unlabelled/defect.png", 200, mark=True)
    photograph(home / "tomorrow/defect.png", 400, mark=True)
    study = yaml.safe_load(TINY.read_text())
    categories = {"lid": {"class_name": "bottle lid"}}
    study["datasets"] = {"mine": {"adapter": "folder", "path": "photos", "categories": categories}}
    study["scenarios"] = {"full_shot": {"shots": "all", "runs": 1}}
    study["training_sets"] = {"unlabelled": {"method": "unlabelled"}, "original": {"method": "none"}}
    study["study"] = {
        "scenarios": ["full_shot"],
        "training_sets": list(study["training_sets"]),
        "detectors": ["patchcore"],
    }
    study["predict"] = {"scenario": "full_shot", "training_set": "unlabelled", "detector": "patchcore"}
    (home / "config").mkdir()
    (home / "config/custom.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    command(home / ".venv/bin/snakemake", f'"{sys.executable}" -m snakemake --snakefile "{ROOT}/Snakefile"')
    command(home / "bin/variad-inspect", f'"{sys.executable}" -m variad.inspect')
    for line in MAKES_BUNDLE.splitlines():
        run(home, line)
    return home


def command(path: Path, runs: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {runs} "$@"\n')
    path.chmod(0o755)


def environment(home: Path) -> dict[str, str]:
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "workflow/lib"), "PYTHONDONTWRITEBYTECODE": "1"}


def run(home: Path, line: str, status: int = 0) -> str:
    shell = ["sh", "-c", line]
    done = subprocess.run(shell, cwd=home, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr[-4000:]
    return done.stdout


def started(home: Path, line: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    command = ["sh", "-c", f"exec {line}"]
    return subprocess.Popen(
        command, cwd=home, env=environment(home), stdout=pipe, stderr=pipe, preexec_fn=heed_interrupts
    )


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text))}


def inspected(home: Path, folder: str) -> dict[str, dict[str, str]]:
    return rows(run(home, f"variad-inspect lid.variad {folder}"))


def test_its_commands_inspect(home: Path) -> None:
    folder, pattern, pictures, for_scripts = INSPECTS.splitlines()
    found = rows(run(home, folder))
    names = [f"tomorrow/{name}.png" for name in (*range(6), "defect")]
    assert list(found) == names
    assert found[names[-1]]["answer"] == "bad" and float(found[names[-1]]["multiple"]) > 2
    # the defect's patch lies within its largest region
    left, top, width, height = (int(found[names[-1]][side]) for side in ("left", "top", "width", "height"))
    assert left <= 55 < left + width and top <= 42 < top + height
    run(home, pattern)
    assert len((home / "tomorrow.jsonl").read_text().splitlines()) == 7
    run(home, pictures)
    learned = sum(row["remark"] != "" for row in inspected(home, "photos").values())
    assert (home / "page.html").read_text().count('"picture":') == 7 + learned
    assert sorted(path.name for path in (home / "maps").iterdir()) == sorted(f"{Path(name).name}.png" for name in names)
    assert run(home, for_scripts) == "look at checked.csv\n"
    assert rows((home / "checked.csv").read_text()) == found


def test_scores_and_answers_are_those_of_the_workflow(home: Path) -> None:
    run(home, MAKES_BUNDLE.splitlines()[0].replace("bundle", "predict"))
    predicted = read_table(home / CELL / "predictions.csv", "predictions").set_index("image_id")
    found = {f"unlabelled/{Path(path).stem}": row for path, row in inspected(home, "photos/lid/unlabelled").items()}
    assert {name for name, row in found.items() if row["remark"]} == set(predicted.index[predicted["held_out"]])
    assert not found["unlabelled/defect"]["remark"] and found["unlabelled/defect"]["answer"] == "bad"
    for name, row in predicted.iterrows():
        score = float(found[name]["score"])
        if row["held_out"]:  # scored by a detector that saw nothing of it, where the bundle's learned from it
            assert score != row["score"]
        else:
            assert score == row["score"] and (found[name]["answer"] == "bad") == row["anomalous"]
        assert float(found[name]["threshold"]) == row["threshold"]


def test_its_page_is_served(home: Path) -> None:
    (line,) = SERVES.splitlines()
    process = started(home, f"{line} --port 0")
    address = process.stdout.readline().decode().split()[0]
    photograph_bytes = (home / "tomorrow/defect.png").read_bytes()
    request = urllib.request.Request(f"{address}inspect", photograph_bytes, {"X-File-Name": "defect.png"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        told = json.load(answer)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    found = rows(run(home, INSPECTS.splitlines()[0]))["tomorrow/defect.png"]
    assert told["score"] == float(found["score"]) and told["answer"] == found["answer"]


def test_its_watch(home: Path) -> None:
    """Two starts, the first killed: a row for each photograph, whole in the end, with the scores of the folder."""
    (home / "line").mkdir()
    shutil.copytree(home / "tomorrow", home / "line/monday")
    (line,) = WATCHES.splitlines()
    for _ in range(2):
        process = started(home, line)
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    half = (home / "line/late.png").open("wb")
    late = (home / "tomorrow/5.png").read_bytes()
    half.write(late[:1000])
    half.flush()
    process = started(home, line)
    time.sleep(6)
    half.write(late[1000:])
    half.close()
    deadline = time.monotonic() + 300
    while "late.png" not in (home / "line.csv").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    with open(home / "line.csv", newline="") as stream:
        kept = list(csv.DictReader(stream))
    paths = [row["path"] for row in kept]
    assert sorted(paths) == sorted([*(f"monday/{name}.png" for name in (*range(6), "defect")), "late.png"])
    found = rows(run(home, INSPECTS.splitlines()[0]))
    for row in kept:
        of_folder = found[f"tomorrow/{'5.png' if row['path'] == 'late.png' else Path(row['path']).name}"]
        assert {name: row[name] for name in COLUMNS[1:]} == {name: of_folder[name] for name in COLUMNS[1:]}
        assert row["sha256"] == sha256(home / "line" / row["path"])


def test_its_python(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON], cwd=home, env=environment(home), capture_output=True, text=True, check=True
    )
    score, calibrated, answer = done.stdout.splitlines()[0].split()
    row = rows(run(home, INSPECTS.splitlines()[0]))["tomorrow/1.png"]
    assert (float(score), answer) == (float(row["score"]), row["answer"])
    assert 0 <= float(calibrated) <= 1
    assert done.stdout.splitlines()[1] == "(90, 120)"


def test_its_onnx(home: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    score, *above = done.stdout.replace("[", " ").replace("]", " ").split()
    row = rows(run(home, INSPECTS.splitlines()[0]))["tomorrow/1.png"]
    assert float(score) == pytest.approx(float(row["score"]), rel=1e-4)
    assert above[1] == str(row["answer"] == "bad")


ALLOWED = """
import sys
# what pyproject.toml names, with what torch and faiss bring along, is all that there is
allowed = set(sys.argv[1].split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in allowed or top in sys.stdlib_module_names or top == "variad" or top[0] == "_":
            return None
        raise ModuleNotFoundError(f"No module named {name!r}: it is not among the inspector's packages", name=name)
sys.meta_path.insert(0, Blocker())
from variad.inspect.command import main
sys.exit(main(sys.argv[2:]))
"""
BROUGHT_ALONG = (
    "packaging,filelock,fsspec,jinja2,markupsafe,networkx,sympy,mpmath,typing_extensions,functorch,torchgen,triton"
)


def test_only_the_packages_that_are_named_are_needed(home: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [requirement.split(">=")[0] for requirement in project["dependencies"]]
    imported = {"faiss-cpu": "faiss", "pillow": "PIL"}
    allowed = ",".join([*(imported.get(name, name) for name in named), BROUGHT_ALONG])
    shutil.rmtree(home / "maps", ignore_errors=True)
    arguments = ["lid.variad", "tomorrow", "--report", "page.html", "--heatmaps", "maps"]
    done = subprocess.run(
        [sys.executable, "-c", ALLOWED, allowed, *arguments], cwd=home, env=environment(home), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(rows(done.stdout)) == len(list((home / "maps").iterdir())) == 7
