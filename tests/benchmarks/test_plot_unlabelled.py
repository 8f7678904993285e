"""The figure of what hurts a pile shows the study's numbers, and those of one kind of defects by hand."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import plot_unlabelled as figure  # noqa: E402, a script of the folder benchmarks

STUDY = yaml.safe_load((ROOT / "config/unlabelled.yaml").read_text("utf-8"))
GOOD, BAD = ["test/good/1", "test/good/2"], ["test/front/1", "test/neck/1"]


def scored(*values: float, runs: int = 2) -> pd.DataFrame:
    """Scores of two good images, one with a defect at the front and one with another, the same in each run."""
    names = [*GOOD, *BAD]
    rows = [(run, *row) for run in range(runs) for row in zip(names, [0, 0, 1, 1], values, strict=True)]
    return pd.DataFrame(rows, columns=["run", "image_id", "label", "score"])


def test_a_gain_on_one_kind_reads_no_other_kind() -> None:
    """The defect at the front is above both good images with the pile, and above one of them before: 100 less 50."""
    after, before = scored(0.1, 0.2, 0.3, 0.0), scored(0.1, 0.3, 0.2, 0.9)
    gain, low, high = figure.gain_on_kind(after, before, "front", 0, ("a", "screw"))
    assert gain == pytest.approx(50)
    assert (low, high) == pytest.approx((0, 100))  # draws that hold one good image twice
    neck, *_ = figure.gain_on_kind(after, before, "neck", 0, ("a", "screw"))
    assert neck == pytest.approx(-100)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Tables of a study whose gain is told by the training set, and scores of the piles of one kind."""
    rows = []
    for detector, part in STUDY["study"]["only"].items():
        for dataset in part["datasets"]:
            for category in STUDY["datasets"][dataset]["categories"]:
                for name in part["training_sets"]:
                    recipe = STUDY["training_sets"][name]
                    gain = 100 * recipe.get("contamination", 0.07) + recipe.get("size", 0) / 1000
                    row = {"dataset": dataset, "category": category, "detector": detector, "training_set": name}
                    row |= {"metric": "image_auroc", "gain": None if name == "original" else gain}
                    rows.append(row | {"gain_low": gain - 1, "gain_high": gain + 2})
                    folder = tmp_path / dataset / category / "one_shot" / name / detector
                    folder.mkdir(parents=True)
                    kinds = ["manipulated_front", "scratch_head", "blowhole", "break"]
                    table = scored(0.1, 0.2, 0.3 if name != "original" else 0.0, 0.0)
                    table = pd.concat([table.replace({BAD[0]: f"test/{kind}/1"}) for kind in kinds])
                    table.drop_duplicates(["run", "image_id"]).to_csv(folder / "scores.csv", index=False)
    (tmp_path / "tables").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "tables" / "summary.csv", index=False)
    return tmp_path


def test_marks_are_the_summarys_gains_and_those_of_each_kind(results: Path) -> None:
    marks = figure.marks_of(STUDY, results).set_index(["product", "panel", "place"]).sort_index()
    shares = marks.loc["screw", "contamination"]
    assert shares.index.tolist() == pytest.approx([0, 5, 10, 20, 30, 40, 50])
    assert shares["gain"].tolist() == pytest.approx([place + 0.12 for place in shares.index])
    assert (shares["high"] - shares["low"]).tolist() == pytest.approx([3.0] * 7)
    assert marks.loc["screw", "size"].index.tolist() == [10, 20, 40, 80, 120, 160]
    assert marks.loc["poly", "size"].index.tolist() == [10, 20, 40, 80, 120, 160, 500]
    assert marks.loc[("poly", "size", 500), "gain"] == pytest.approx(10.5)
    assert marks.loc[("magnetic_tile", "ceiling", 0), "gain"] == pytest.approx(7)
    assert marks.loc[("poly", "mistake", "50 % of\nanother product"), "gain"] == pytest.approx(50.12)
    assert marks.loc[("poly", "mistake", "100 % of\nanother product"), "gain"] == pytest.approx(100.02)
    kinds = [place for place in marks.loc["magnetic_tile", "mistake"].index if "another" not in place]
    assert kinds == [f"{kind}:\n{pile}" for kind in ("blowhole", "break") for pile in ("mixed pile", "no other kind")]
    assert marks.loc[("screw", "mistake", "scratch head:\nno other kind"), "gain"] == pytest.approx(100)


def test_what_is_drawn_stands_at_the_marks(results: Path, tmp_path: Path) -> None:
    marks = figure.marks_of(STUDY, results)
    drawn = figure.draw(marks, tmp_path / "figure.png")
    assert [axis.get_title() for axis in drawn.axes[:3]] == ["magnetic tile", "MVTec screw", "ELPV poly"]
    poly = marks[(marks["product"] == "poly") & (marks["panel"] == "size")]
    line = next(line for line in drawn.axes[5].lines if len(line.get_xdata()) == len(poly))
    assert line.get_xydata().tolist() == poly[["place", "gain"]].astype(float).to_numpy().tolist()
    bars = [bar.get_height() for bar in drawn.axes[7].patches if bar.get_width() == pytest.approx(0.7)]
    wrong = marks[(marks["product"] == "screw") & (marks["panel"] == "mistake")]
    assert bars == pytest.approx(wrong["gain"].tolist()) and len(bars) == 6
    with Image.open(tmp_path / "figure.png") as image:
        assert image.mode == "RGBA" and image.getextrema()[3] == (255, 255)  # its own white, on a dark page too


def test_choices_are_told_by_label(tmp_path: Path) -> None:
    folder = tmp_path / "mvtec_ad" / "screw"
    (folder / "unlabelled").mkdir(parents=True)
    names = [f"unlabelled/pool/{number:04}" for number in range(4)]
    pd.DataFrame({"image_id": names, "label": [0, 0, 1, 1]}).to_csv(folder / "unlabelled/manifest.csv", index=False)
    for name, kept, strangeness in (("unlabelled_50", [True, False, True, True], 1.4), ("another_all", [True] * 4, 1)):
        (folder / "one_shot" / name).mkdir(parents=True)
        chosen = pd.DataFrame({"run": 0, "image_id": names, "kept": kept, "strangeness": strangeness})
        chosen.to_csv(folder / "one_shot" / name / "chosen.csv", index=False)
    table = figure.choices_of(STUDY, tmp_path).set_index("training_set")
    assert table.loc["unlabelled_50", ["good kept", "others kept"]].tolist() == [50, 100]
    assert table["noticed"].to_dict() == {"unlabelled_50": True, "another_all": False}


def test_every_pile_of_the_study_can_be_drawn() -> None:
    """Good photographs and others that a training set asks of a data set are in its pool."""
    for part in STUDY["study"]["only"].values():
        for dataset in part["datasets"]:
            pool = STUDY["datasets"][dataset]["pool"]
            bad = round(pool["good"] * pool["defective"] / (1 - pool["defective"]))
            for recipe in (STUDY["training_sets"][name] for name in part["training_sets"]):
                if recipe["method"] == "unlabelled":
                    wrong = round(recipe["size"] * recipe["contamination"])
                    assert wrong <= bad and recipe["size"] - wrong <= pool["good"], (dataset, recipe)
