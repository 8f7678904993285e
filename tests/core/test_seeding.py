"""Random numbers depend on the root seed and the key alone."""

import contextlib
import json
import logging
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from variad.core import job as running
from variad.core.seeding import numpy_generator, torch_generator, torch_seed
from variad.core.tables import write_table
from variad.datasets.sampling import sample_shots
from variad.detectors import training
from variad.detectors.interface import DetectorInput, Extractor
from variad.evaluation import cells
from variad.evaluation.pixel import write_pixel_histograms
from variad.generation.settings import requests, unseen

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def test_equal_keys_agree_and_different_ones_do_not():
    key = ("elpv", "mono", "one_shot", "generated", 3)
    assert torch_seed(0, *key) == torch_seed(0, *key)
    seeds = {torch_seed(0, *key[:4], run) for run in range(100)} | {torch_seed(1, *key)}
    assert len(seeds) == 101


def test_values_are_those_of_every_machine():
    """Fixed once: a change would silently redraw every shot and every image of every study."""
    assert numpy_generator(0, "elpv", "mono", 0).integers(1000, size=3).tolist() == [335, 532, 115]


def test_generators_follow_their_seed():
    first, second = (torch.randn(3, generator=torch_generator(0, "a")) for _ in range(2))
    assert torch.equal(first, second)
    assert not np.array_equal(numpy_generator(0, "a").random(3), numpy_generator(0, "b").random(3))


# What the keys name and what they leave out decides what runs of two training sets share (docs/methods.md).


def test_training_sets_share_the_resamples_of_a_scenario_and_detector(tmp_path, monkeypatch):
    keys = []
    original = cells.numpy_generator
    monkeypatch.setattr(cells, "numpy_generator", lambda *key: keys.append(key) or original(*key))
    draw, histograms = np.random.default_rng(0), tmp_path / "histograms.h5"
    write_pixel_histograms(histograms, {})
    names = [f"test/{number}" for number in range(8)]
    scores = pd.DataFrame(
        {"run": np.repeat([0, 1], 8), "image_id": 2 * names, "label": 2 * 4 * [0, 1], "score": draw.random(16)}
    )
    cell = cells.Cell("d", "c", "net", "one_shot", "original", pd.DataFrame(), scores, histograms)
    first = cells.metric_draws(cell, 0, 50)["image_auroc"]
    assert np.array_equal(first, cells.metric_draws(replace(cell, training_set="duplicated"), 0, 50)["image_auroc"])
    for other in ({"scenario": "few_shot"}, {"detector": "other"}, {"category": "b"}, {"dataset": "e"}):
        assert not np.array_equal(first, cells.metric_draws(replace(cell, **other), 0, 50)["image_auroc"])
    assert keys[:2] == 2 * [(0, "bootstrap", "image", "d", "c", "one_shot", "net")]


def test_added_images_draw_by_the_name_of_their_training_set():
    shots, pool = {0: ["a"], 3: ["b"]}, [*"abcdefghij"]
    for name in ("generated", "augmented"):
        key = ("d", "c", "one_shot", name)
        made = requests(shots, 2, 0, key)
        assert [one.seed for one in made] == [torch_seed(0, *key, run, index) for run in shots for index in range(2)]
        picked = [one.parent for one in unseen(made, shots, pool, 0, key)]
        for place, run in enumerate(shots):
            rest = sorted(set(pool) - set(shots[run]))
            order = numpy_generator(0, *key, run).permutation(9)
            assert picked[2 * place : 2 * place + 2] == [rest[number] for number in order[:2]]


OWN_DETECTOR = """
import json
from pathlib import Path

class Draws:
    uses_images = False
    def __init__(self, device="cpu"):
        pass
    def fit(self, training, generator):
        self.numbers = generator.integers(2**63, size=3).tolist()
    def save(self, path):
        Path(path).write_text(json.dumps(self.numbers))
"""


def test_a_training_draws_by_the_names_of_its_scenario_training_set_and_detector(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN_DETECTOR)
    manifest = pd.DataFrame({"image_id": [f"train/good/{number}" for number in range(9)], "split": "train"})
    scenarios = {"one_shot": {"shots": 1, "runs": 2}}
    write_table(tmp_path / "shots.csv", sample_shots(manifest, scenarios, 0, "d", "c"), "shots")

    @contextlib.contextmanager
    def job(_):
        yield running.Job(1, "cpu", 0, logging.getLogger("variad"))

    monkeypatch.setattr(running, "job", job)
    monkeypatch.setattr(training, "extractor_of", lambda *_: Extractor("net", ("layer",), None, 8, None))
    monkeypatch.setattr(training, "training_input", lambda *_: DetectorInput({"layer": np.zeros((1, 2, 2, 3))}))
    whole = dict.fromkeys(("resolution", "crop", "stored_as"))
    for name in ("original", "duplicated"):
        here = {"dataset": "d", "category": "c", "scenario": "one_shot", "training_set": name, "detector": "net"}
        detector = {"method": f"{tmp_path}/own.py:Draws", "settings": {}}
        given = {"shots": tmp_path / "shots.csv", "images": "", "features": "", "added": "", "get": lambda _: None}
        snakemake = SimpleNamespace(
            input=SimpleNamespace(**given),
            params=SimpleNamespace(detector=detector, extractor={}, whole_extractor=whole, runs=2, seed=0),
            wildcards=SimpleNamespace(**here),
            output=SimpleNamespace(models=tmp_path / name / "contents.txt"),
        )
        runpy.run_path(str(SCRIPTS / "train_detector.py"), {"snakemake": snakemake})
        for run in range(2):
            drawn = json.loads((tmp_path / name / f"run_{run}.safetensors").read_text())
            expected = numpy_generator(0, "d", "c", "one_shot", name, "net", run)
            assert drawn == expected.integers(2**63, size=3).tolist()
