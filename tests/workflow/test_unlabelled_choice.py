"""The way to a choice among unlabelled images: no file on it holds a label, and other labels change nothing."""

import re

import pandas as pd
import pytest
import yaml

from variad.core.checksums import write_checksums
from variad.core.files import sha256
from variad.core.tables import read_table

from .running import TINY, succeed

pytestmark = pytest.mark.slow
PLACE = "results/elpv/mono/one_shot/{}"
SCORES = ("mutual", "rounds")


@pytest.fixture(scope="module")
def pile(tmp_path_factory):
    """A folder with a config whose data set has a pile of nine good cells and three defective ones."""
    folder = tmp_path_factory.mktemp("pile")
    study = yaml.safe_load(TINY.read_text())
    elpv = study["datasets"]["elpv"] | {"pool": {"good": 9, "defective": 0.25}}
    elpv["settings"] = {"train_good": 14, "test_good": 5, "test_defect": 8}
    study["datasets"] = {"elpv": elpv}
    study["scenarios"] = {"one_shot": {"shots": 1, "runs": 2}}
    piles = {score: {"method": "unlabelled", "score": score} for score in SCORES}
    study["training_sets"] = {"original": {"method": "none"}, **piles}
    study["study"] = {
        "scenarios": ["one_shot"],
        "training_sets": list(study["training_sets"]),
        "detectors": ["patchcore"],
    }
    study["predict"] = {"scenario": "one_shot", "training_set": "original", "detector": "patchcore"}
    (folder / "pile.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def run(folder, *words):
    chosen = [f"{PLACE.format(score)}/chosen.csv" for score in SCORES]
    return succeed(folder, "--cores", "2", *words, "--", *chosen, config=folder / "pile.yaml")


def test_no_input_of_the_choice_knows_a_label(pile):
    said = run(pile, "--dry-run")
    found = re.findall(r"^(?:local)?rule choose_unlabelled:\n    input: (.*)\n    output: (.*)$", said, re.M)
    assert {output for _, output in found} == {f"{PLACE.format(score)}/chosen.csv" for score in SCORES}
    for listed, output in found:
        inputs, home = set(listed.split(", ")), "results/elpv/mono"
        code = {path for path in inputs if path.endswith(".py")}
        assert any(path.endswith("selection/unlabelled.py") for path in code)
        assert inputs - code == {
            output.replace("chosen.csv", "pool.csv"),
            f"{home}/shots.csv",
            f"{home}/train/images.h5",
            f"{home}/unlabelled/images.h5",
            f"{home}/unlabelled/features/lite0.h5",
            f"{home}/train/features/lite0.h5",
            f"{home}/turning.json",  # of which tests/selection/test_turning.py says the same
        }


def test_other_labels_change_nothing(pile):
    run(pile)
    tables = [pile / PLACE.format(score) / "chosen.csv" for score in SCORES]
    before = [sha256(path) for path in tables]
    for path in tables:
        chosen = read_table(path, "chosen")
        assert chosen["run"].value_counts().to_dict() == {0: 12, 1: 12}
        kept = chosen.groupby("run")["kept"].sum()
        assert kept.between(6, 12).all()
        assert (chosen["kept"] == (chosen["score"] <= chosen["cut"])).all()
    manifest = pile / "results/elpv/mono/unlabelled/manifest.csv"
    rows = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    assert rows["label"].value_counts().to_dict() == {"0": 9, "1": 3}
    rows["label"], rows["defect"] = (
        rows["label"].map({"0": "1", "1": "0"}),
        rows["defect"].map(lambda name: f"not {name}"),
    )
    rows.to_csv(manifest, index=False, lineterminator="\n")
    write_checksums(manifest)  # or it would be taken for damaged
    said = run(pile, "--printshellcmds", "--forcerun", "draw_pool", "choose_unlabelled")  # Snakemake's own words
    assert said.count("rule choose_unlabelled:") == len(SCORES) and "rule index_category:" not in said
    assert [sha256(path) for path in tables] == before
