"""A pile of unlabelled photographs: tables, heat maps named after them, what the page and the terminal say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from variad.core.tables import read_table, write_table
from variad.detectors.interface import Extractor
from variad.inspect.answers import Answers, HeldOutScores
from variad.inspect.predictions import (
    draw_predictions,
    good_photographs,
    heat_map_name,
    map_scale,
    page_entries,
    photograph_name,
    predictions_table,
    ranking,
    regions_by_image,
    regions_table,
    summary,
    thresholds_table,
    thresholds_told,
    write_prediction_link,
)
from variad.inspect.regions import Region

HELD = np.arange(101.0)  # look 95, bad 99, and 9.5 for pixels
ANSWERS = Answers(HeldOutScores(HELD, HELD / 10, np.ones(101, bool)))
NONE = Answers(HeldOutScores(np.zeros(0), np.zeros(0), np.zeros(0, bool)))
EXTRACTOR = Extractor("none", (), None, 8, None)


def manifest(*names, height=20, width=40):
    paths = [f"lid/{name}.JPG" for name in names]
    return pd.DataFrame({"image_id": names, "image_path": paths, "height": height, "width": width})


def predictions(names, scores, answers=ANSWERS, held_out=False):
    held_out = np.broadcast_to(held_out, len(names))
    return predictions_table(manifest(*names), np.array(scores, np.float32), held_out, answers)


def test_a_photograph_keeps_its_extension_and_its_folders():
    assert photograph_name("unlabelled/monday/3", "lid/unlabelled/monday/3.JPG") == "monday/3.JPG"
    assert photograph_name("unlabelled/pool/0007", "screw/train/good/001.png") == "pool/0007.png"  # tells no label


def test_the_ranking_is_by_score_then_name_and_has_answers(tmp_path):
    names = ["unlabelled/b", "unlabelled/a", "unlabelled/c", "unlabelled/d"]
    table = predictions(names, [1, 1, 198, 97], held_out=[False, True, False, False])
    write_table(tmp_path / "predictions.csv", table, "predictions")
    read = read_table(tmp_path / "predictions.csv", "predictions")
    assert list(read["image_id"]) == [f"unlabelled/{name}" for name in "cdab"]
    assert list(read["photograph"]) == ["c.JPG", "d.JPG", "a.JPG", "b.JPG"]
    assert list(read["rank"]) == [1, 2, 3, 4]
    assert list(read["answer"]) == ["bad", "look", "good", "good"]
    assert list(read["anomalous"]) == [True, False, False, False]
    assert list(read["multiple"]) == [2.0, 97 / 99, 1 / 99, 1 / 99]
    assert list(read["calibrated"]) == [1.0, 97.5 / 101, 1.5 / 101, 1.5 / 101]
    assert list(read["held_out"]) == [False, False, True, False]
    assert set(read["threshold"]) == {99.0}


def test_without_a_threshold_nothing_is_said_but_the_rank(tmp_path):
    table = predictions(["unlabelled/b", "unlabelled/a"], [1, 2], NONE)
    write_table(tmp_path / "predictions.csv", table, "predictions")
    read = read_table(tmp_path / "predictions.csv", "predictions")
    assert list(read["image_id"]) == ["unlabelled/a", "unlabelled/b"]
    for name in ("threshold", "anomalous", "multiple", "calibrated"):
        assert read[name].isna().all()
    assert list(read["answer"]) == ["", ""]
    assert summary(read) == "2 photographs, ranked without a threshold"
    nothing = pd.DataFrame(columns=["image_id", *Region.__annotations__])
    assert [line.split()[0] for line in ranking("lid", read, nothing, []).splitlines()] == ["lid:", "rank", "1", "2"]


def test_regions_are_in_the_photographs_own_pixels(tmp_path):
    maps = np.zeros((2, 8, 8), np.float32)
    maps[1, 2:4, 4:6] = 20
    names = ("unlabelled/a", "unlabelled/b")
    table = regions_table(manifest(*names, height=8, width=16), maps, EXTRACTOR, 0.0, 9.5)
    write_table(tmp_path / "regions.csv", table, "regions")
    found = regions_by_image(read_table(tmp_path / "regions.csv", "regions"))
    # rows as they are, columns twice as many: the eighth lies a quarter of a patch before the fourth, and is 15
    assert found == {"unlabelled/b": [Region(8, 2, 4, 2, 8, 20.0, 9, 2)]}
    nothing = regions_table(manifest(*names), maps, EXTRACTOR, 0.0, None)
    write_table(tmp_path / "none.csv", nothing, "regions")
    assert regions_by_image(read_table(tmp_path / "none.csv", "regions")) == {}


def test_colours_have_the_threshold_at_their_first_quarter():
    assert map_scale(ANSWERS, []) == (5.0, 23.0)  # median peak 5, threshold 9.5
    assert map_scale(NONE, [np.array([[0.0, 1.0]]), np.array([[2.0]])]) == (1.0, 2.0)
    assert map_scale(NONE, [np.ones((2, 2))]) == (1.0, 2.0)


def test_long_names_are_cut_and_told_by_their_rank():
    assert heat_map_name("monday/3.JPG", 7) == "monday/3.JPG.png"
    long = heat_map_name(f"monday/{'ü' * 124}.JPG", 7)  # 252 bytes, with .png 256
    assert long == f"monday/{'ü' * 100}~7.png"
    assert heat_map_name(f"{'x' * 247}.JPG", 7) == f"{'x' * 247}.JPG.png"  # 255 bytes


@pytest.fixture
def drawn(tmp_path):
    """Two photographs with their maps as files, one with a region, and everything that they are drawn from."""
    names = ["unlabelled/monday/a", "unlabelled/b"]
    rows = manifest(*names, height=3000, width=1500)
    maps = np.zeros((2, 8, 8), np.float32)
    maps[1, 2:4, 4:6] = 20
    for name, values in zip(names, maps, strict=True):
        path = tmp_path / f"{name}.tiff"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.kron(values, np.ones((375, 188), np.float32))[:, :1500])
    regions = regions_table(rows, maps, EXTRACTOR, 0.0, ANSWERS.pixel)
    images = {name: np.full((8, 8, 3), 100, np.uint8) for name in names}
    table = predictions_table(rows, np.array([3, 198], np.float32), np.array([True, False]), ANSWERS)
    return SimpleNamespace(
        folder=tmp_path, real=SimpleNamespace(image=images.get), table=table, regions=regions, rows=rows
    )


def test_heat_maps_are_named_after_photographs_and_not_larger_than_they_need_to_be(drawn):
    draw_predictions(drawn.folder, drawn.real, drawn.table, drawn.regions, ANSWERS)
    found = {str(path.relative_to(drawn.folder)): path for path in drawn.folder.rglob("*.png")}
    assert sorted(found) == ["b.JPG.png", "monday/a.JPG.png"]
    good, bad = (np.asarray(Image.open(found[name])) for name in ("monday/a.JPG.png", "b.JPG.png"))
    assert good.shape == bad.shape == (2048, 1024, 3)
    assert (good == 100).all()  # below the colours' beginning
    assert (bad[600, 600] != 100).any() and (bad[100, 100] == 100).all()
    (box,) = regions_by_image(drawn.regions)["unlabelled/b"]
    frame = bad[round((box.top + box.height // 2) * 2048 / 3000), : round(box.left * 2048 / 3000)]
    assert (frame == (213, 94, 0)).all(axis=1).any() and (frame == 255).all(axis=1).any()


def test_the_page_has_every_photograph_the_worst_first(drawn):
    good = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 110, np.uint8)])
    worst, best = page_entries(drawn.table, drawn.regions, drawn.rows, drawn.real, drawn.folder, good)
    assert (worst.row["path"], worst.row["answer"], worst.row["multiple"]) == ("b.JPG", "bad", 2.0)
    assert (best.row["path"], best.row["answer"]) == ("monday/a.JPG", "good")
    assert [box["peak"] for box in worst.row["boxes"]] == [20.0] and best.row["boxes"] == []
    assert (worst.height, worst.width, worst.nearest) == (3000, 1500, 1)
    assert worst.values.max() == pytest.approx(20, rel=0.05) and best.values.max() == 0
    assert worst.remark == "" and "saw nothing of it" in best.remark
    named = good_photographs(good, manifest("train/good/0", "train/good/1"))
    assert [one.name for one in named] == ["0.JPG", "1.JPG"] and named[0].picture != named[1].picture


def test_the_terminal_shows_the_worst_twenty_and_counts_the_rest():
    names = [f"unlabelled/{number:02}" for number in range(30)]
    table = predictions(names, [100, 97, *range(28)])
    regions = pd.DataFrame(
        [("unlabelled/00", 1, 2, 30, 4, 99, 12.0, 5, 5), ("unlabelled/00", 0, 0, 1, 1, 1, 13.0, 0, 0)],
        columns=["image_id", *Region.__annotations__],
    )
    lines = ranking("lid", table, regions, ["first note.", "page: p.html"]).splitlines()
    assert lines[0] == "lid: 30 photographs: 1 bad, 1 to look at, 28 good"
    assert " ".join(lines[1].split()) == "rank answer x threshold score photograph largest region, pixels"
    assert " ".join(lines[2].split()) == "1 bad 1.01 100 00.JPG 30 x 4 at 1, 2"  # the largest, not the highest
    assert lines[3].split() == ["2", "look", "0.98", "97", "01.JPG"]
    assert len(lines) == 2 + 20 + 1 + 2
    assert lines[-3:] == ["  and 10 more photographs: 0 bad, 0 to look at, 10 good", "  first note.", "  page: p.html"]
    assert len({line.index(".JPG") for line in lines[2:22]}) == 1  # columns stand under each other


def test_the_gallery_is_linked_by_a_script_that_takes_names_as_text(tmp_path):
    page = "</script>#%ä.predictions.html"
    write_prediction_link(tmp_path / "link.js", page, '3 "photographs"')
    script = (tmp_path / "link.js").read_text("utf-8")
    assert 'encodeURIComponent("</script>#%\\u00e4.predictions.html")' in script
    assert 'link.textContent = "3 \\"photographs\\""' in script


def test_what_thresholds_do_to_test_images(tmp_path):
    """Good 10 and 96, defects 50, 97 and 200: above 10 is one mistake, as few as there can be."""
    tested = pd.DataFrame({"score": [10.0, 96.0, 50.0, 97.0, 200.0], "label": [0, 0, 1, 1, 1]})
    table = thresholds_table(ANSWERS, tested)
    write_table(tmp_path / "thresholds.csv", table, "thresholds")
    read = read_table(tmp_path / "thresholds.csv", "thresholds")
    columns = ["name", "threshold", "misses", "misses_of", "false_alarms", "false_alarms_of"]
    assert read[columns].values.tolist() == [
        ["fewest_mistakes", 10.0, 0, 3, 1, 2],
        ["look", 95.0, 1, 3, 1, 2],
        ["bad", 99.0, 2, 3, 0, 2],
    ]
    assert read["misses_high"].tolist() == pytest.approx([0.7076, 0.9057, 0.9916], abs=1e-4)  # Clopper and Pearson
    told = thresholds_told("mine/lid", ANSWERS, table).splitlines()
    assert told[0] == f"mine/lid: {ANSWERS.promise()}"
    assert told[3] == "  bad, above 99: 2 of 3 defects missed, 0 of 2 good ones above it in the test"


def test_without_test_images_thresholds_promise_all_the_same(tmp_path):
    none = pd.DataFrame({"score": np.zeros(0), "label": np.zeros(0, int)})
    table = thresholds_table(ANSWERS, none)
    write_table(tmp_path / "thresholds.csv", table, "thresholds")
    assert read_table(tmp_path / "thresholds.csv", "thresholds")["misses_of"].tolist() == [0, 0]
    assert thresholds_told("mine/lid", ANSWERS, table) == f"mine/lid: {ANSWERS.promise()}\n"
