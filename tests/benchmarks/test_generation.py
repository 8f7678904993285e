"""The peer of the generation benchmark does what the engine does, in float64; the benchmark runs."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tests.generation.conftest import TinyEncoder, make_vqgan
from variad.generation.guidance import Guide
from variad.generation.steps import guide

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_the_plain_loop_gives_the_same_images(settings, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from plain_generation import guide_one

    vqgan, unfolded = make_vqgan(torch.float64), make_vqgan(torch.float64, fold=False)
    encoder = TinyEncoder(torch.float64)
    texts = functional.normalize(torch.randn(3, 12, generator=torch.Generator().manual_seed(2)), dim=1).double()
    start = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(3)).double()
    values = settings(guidance=1.0, iterations=6, anchor=0.5)
    generators = [torch.Generator().manual_seed(place) for place in range(3)]
    guided = guide(start, Guide(encoder, texts), vqgan, values, generators)
    assert (guided.latent - start).abs().max() > 0.1  # the steps did something
    for place in range(3):
        by = Guide(encoder, texts[place : place + 1])
        plain = guide_one(start[place : place + 1], by, unfolded, values, torch.Generator().manual_seed(place))
        torch.testing.assert_close(plain, guided.images[place : place + 1], rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("models, cores", [("small", (1, 2)), ("full", (1,))])
def test_the_benchmark_writes_one_row_a_measurement(tmp_path, models, cores):
    command = [sys.executable, BENCHMARKS / "generation.py", f"--models={models}", "--images=2", "--iterations=1"]
    command += ["--size=64", "--cutouts=1", "--repeats=1", "--batch", "1", "2", "--cores", *map(str, cores)]
    command += ["--output", tmp_path / "out.csv"]
    subprocess.run(command, check=True, timeout=600)
    with open(tmp_path / "out.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = ("engine", "batch", "processes", "threads", "images")
    wanted = [
        row
        for count in cores
        for row in (f"plain 1 1 {count} 2", f"variad 1 {count} 1 {2 * count}", f"variad 2 {count} 1 {2 * count}")
    ]
    assert [" ".join(row[name] for name in names) for row in rows] == wanted
    assert all(float(row["images_per_second"]) > 0 and float(row["peak_gb"]) > 0 for row in rows)


def rows_on_a_gpu(path, *options):
    command = [sys.executable, BENCHMARKS / "generation_gpu.py", "--models=small", "--size=64", "--iterations=1"]
    command += ["--cutouts=1", "--repeats=1", f"--output={path}", *options]
    subprocess.run(command, check=True, timeout=600)
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_has_a_row_for_every_batch(tmp_path):
    """On a CPU, where a step cannot be recorded and TF32 is float32."""
    rows = rows_on_a_gpu(tmp_path / "out.csv", "--device=cpu", "--batch", "1", "2", "--groups", "plain", "tf32")
    names = ("engine", "precision", "variant", "batch", "error")
    assert [[row[name] for name in names] for row in rows] == [
        ["plain", "float32", "", "1", ""], ["plain", "float32", "exact", "1", ""],
        ["variad", "float32", "", "1", ""], ["variad", "float32", "", "2", ""],
    ]  # fmt: skip
    assert rows[0]["by_plain"] == "1.0" and all(float(row["images_per_second"]) > 0 for row in rows)
    assert rows[2]["first_loss"] == rows[3]["first_loss"] != rows[3]["last_loss"]  # of the same first image


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="to fail it needs a machine without a GPU")
def test_a_row_that_fails_says_why_and_the_next_ones_are_tried(tmp_path):
    rows = rows_on_a_gpu(tmp_path / "out.csv", "--device=cuda", "--batch", "1", "--groups", "plain", "float32")
    assert [(row["engine"], row["batch"]) for row in rows] == [("plain", "1"), ("plain", "1"), ("variad", "1")]
    assert all("the process ended with 1" in row["error"] and not row["seconds"] for row in rows)
