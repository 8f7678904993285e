"""The benchmarks for a machine with a GPU, as far as they run without one."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(script: str, output: Path, *options: str) -> list[dict[str, str]]:
    subprocess.run([sys.executable, str(BENCHMARKS / script), "--output", str(output), *options], check=True)
    with open(output, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_gpu_has_more_to_do_and_a_cpu_what_it_had():
    from detector_cases import CASES, cases_on

    assert cases_on("cpu") == CASES
    for name, case in cases_on("cuda").items():
        usual = CASES[name]
        assert case.train > usual.train and case.test >= usual.test
        assert (case.backbone, case.ours, case.peer, case.batch) == (
            usual.backbone,
            usual.ours,
            usual.peer,
            usual.batch,
        )
    one = cases_on("cuda")["efficientad"]
    assert one.work.startswith(f"{one.budget(one.epochs, one.train)['steps']} steps of 1 image")
    several = cases_on("cuda")["reverse_distillation"]
    assert several.work == f"{several.epochs * several.train // several.batch} steps of {several.batch} images"


def test_every_part_is_kept_and_a_failed_one_stops_no_other(tmp_path, monkeypatch, capsys):
    import gpu_steps

    def broken(at):
        yield "first", "ms", 1.0
        raise RuntimeError("no more")

    output = tmp_path / "out.csv"
    monkeypatch.setattr(gpu_steps, "PARTS", {"cflow": broken, "patchcore": lambda at: iter([("one", "ms", 2.0)])})
    monkeypatch.setattr(sys, "argv", ["gpu_steps.py", "--device", "cpu", "--output", str(output)])
    assert gpu_steps.main() == 1
    assert "no more" in capsys.readouterr().err
    with open(output, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["part"], row["variant"], float(row["value"])) for row in rows] == [
        ("cflow", "first", 1.0),
        ("patchcore", "one", 2.0),
    ]
    assert all(row["machine"] and row["version"].startswith("torch") for row in rows)


@pytest.mark.slow
def test_parts_run_on_a_cpu(tmp_path):
    rows = run("gpu_steps.py", tmp_path / "out.csv", "--device", "cpu", "--small")
    assert {row["part"] for row in rows} == {
        "cflow", "reverse_distillation", "efficientad", "patchcore", "features", "full_size_maps",
    }  # fmt: skip
    assert all(float(row["value"]) > 0 for row in rows if row["unit"] in ("ms", "us a pick", "ms an image"))


@pytest.mark.slow
def test_half_precision_is_compared_on_the_same_images(tmp_path):
    options = ("--detectors", "patchcore", "--categories", "brick", "--seeds", "1", "--train", "4", "--test", "6")
    whole, half, control = run("half_features.py", tmp_path / "out.csv", *options)
    assert (whole["stored_as"], half["stored_as"]) == ("float32", "float16") and "millionth" in control["stored_as"]
    for other in (half, control):
        for metric in ("image_auroc", "pixel_auroc"):
            assert abs(float(whole[metric]) - float(other[metric])) < 3


def test_a_session_fits_into_ten_minutes_and_asks_only_for_what_its_scripts_know(tmp_path):
    from gpu_session import MINUTES, parts

    session = parts(tmp_path, "python")
    assert sum(part.seconds for part in session) <= 60 * MINUTES
    for part in session[1:]:
        script, *words = part.words
        known = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
        assert all(word in known for word in words if word.startswith("--"))


def test_a_part_that_fails_or_hangs_is_said_and_keeps_its_words(tmp_path):
    from gpu_session import Part, run

    assert run(Part("good", ["-c", "print('words')"], 60), tmp_path).startswith("done, ")
    assert (tmp_path / "good.log").read_text() == "words\n"
    assert run(Part("bad", ["-c", "raise SystemExit(3)"], 60), tmp_path).startswith("failed with status 3, see ")
    hangs = "import time; print('began'); time.sleep(60)"
    assert run(Part("hangs", ["-c", hangs], 5), tmp_path) == "ended after its 5 s"
    assert (tmp_path / "hangs.log").read_text() == "began\n"


def test_a_session_without_a_card_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu_session.py"), "--output", str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.startswith("error: expected a GPU that nvidia-smi knows, found: ")
