"""The study in three rungs: a first number, a night, all of it; each goes on from the one before."""

import re
from pathlib import Path

import pytest

from tests.configs import load
from tests.markdown_rows import rows as table_rows
from variad.study.work import GPU_RULES

from .running import ROOT, succeed

FIRST, NIGHT, ALL = "paper_first.yaml", "paper_night.yaml", "paper.yaml"
RUNGS = ((FIRST, NIGHT), (NIGHT, ALL))


@pytest.mark.parametrize(("rung", "after"), RUNGS)
def test_what_a_rung_has_is_as_in_the_next_one(rung, after):
    lower, higher = load(rung), load(after)
    assert lower["run"] | {"caption": ""} == higher["run"] | {"caption": ""}
    for section in ("scenarios", "encoders", "vqgans", "training_sets", "extractors", "detectors"):
        assert lower[section].items() <= higher[section].items(), section
    for key in ("image_size", "prompts"):
        assert lower[key] == higher[key]
    for key in ("keep_map_runs", "keep_map_side"):
        assert lower["study"][key] == higher["study"][key]
    for name, dataset in lower["datasets"].items():
        assert dataset["categories"].items() <= higher["datasets"][name]["categories"].items()
    for name in ("scenarios", "training_sets", "detectors"):
        assert set(lower["study"][name]) <= set(higher["study"][name])


def outputs(folder: Path, config: str) -> set[str]:
    """Every file that a dry run would make, but for tables over categories, which another study makes anew."""
    said = succeed(folder, "--cores", "1", "--dry-run", "paper", config=ROOT / "config" / config)
    found = {path for line in re.findall(r"^    output: (.+)$", said, flags=re.M) for path in line.split(", ")}
    return {path for path in found if re.match(r"results/[a-z_]+/[a-z_]+/(one|few)_shot/", path)}


@pytest.mark.slow
def test_a_rung_makes_files_of_the_next_one(tmp_path):
    first, night = outputs(tmp_path, FIRST), outputs(tmp_path, NIGHT)
    assert len(first) > 5 and first < night
    assert {path.split("/")[2] for path in first} == {"toothbrush"}
    assert len({path.split("/")[2] for path in night}) == 15


def plan_of(folder: Path, config: str) -> tuple[str, dict[str, int]]:
    (folder / "study.yaml").write_text((ROOT / "config" / config).read_text("utf-8"), "utf-8")
    said = succeed(folder, "--cores", "1", "plan", "--config", "plan={targets: [paper]}", config=folder / "study.yaml")
    jobs = {row[0]: int(row[1].replace(",", "")) for row in table_rows(said) if len(row) > 5 and row[1][:1].isdigit()}
    return said, jobs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "images", "steps", "sets", "cells", "gpu_hours", "gigabytes"),
    [
        (FIRST, "40", "800", 2, 2, 1.0, 1.0),
        # each of 15 categories: 5 runs of 8 and of 20 images, three sets of them, and one of these is guided
        (NIGHT, "6,300", "42,000", 15 * 2 * 4, 15 * 2 * 4, 12.0, 60.0),
        # 23 categories, three scenarios; PatchCore sees all, the others 15, EfficientAD three sets of these
        (ALL, "117,660", "784,400", 23 * 3 * 4, 3 * (23 * 4 + 15 * (4 + 4 + 3)), 120.0, 60.0),
    ],
)
def test_the_plan_of_a_rung(config, images, steps, sets, cells, gpu_hours, gigabytes, tmp_path):
    said, jobs = plan_of(tmp_path, config)
    assert f"images to add: {images}; optimisation steps: {steps}" in said
    assert jobs["build_training_set"] == sets
    assert jobs["train_detector"] == jobs["score_test_set"] == cells
    found = re.search(r"^- GPU: ([\d.,]+) (s|min|h) of one NVIDIA", said, flags=re.M)
    hours = float(found[1].replace(",", "")) * {"s": 1 / 3600, "min": 1 / 60, "h": 1}[found[2]]
    assert hours < gpu_hours
    for page in ("README.md", "docs/operations.md") if config == ALL else ():
        assert re.search(rf"\b{hours:.0f} (GPU-)?hours", (ROOT / page).read_text("utf-8")), page
    disk = re.search(r"^- results on disk: about ([\d.,]+) (MB|GB)", said, flags=re.M)
    assert float(disk[1].replace(",", "")) * {"MB": 1e-3, "GB": 1}[disk[2]] < gigabytes
    unknown = set(re.findall(r"^- \d+ jobs? of (\w+): never measured", said, flags=re.M))
    assert unknown.isdisjoint(GPU_RULES)
