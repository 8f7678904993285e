"""A category's page holds everything once, under safe names, and opens from disk."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.checksums import damages_of
from variad.core.errors import UserError
from variad.core.files import checksums_path
from variad.core.tables import read_table, write_table
from variad.generation.added import duplicate, write_added
from variad.generation.settings import Request, turns
from variad.generation.strategies import augment
from variad.generation.unlabelled import chosen_images, joined
from variad.report.drawing import colour_scale, colourise
from variad.report.gallery import PAGE_FILES, build_page
from variad.report.heatmaps import read_map
from variad.report.markup import ASSETS

from .synthetic_study import Study, build_category, flat


def built(study: Study) -> Path:
    folder = study.root / "results" / "gallery" / study.dataset / study.category
    build_page(folder, study.sources())
    return folder


def data_of(folder: Path) -> dict[str, Any]:
    written = (folder / "data.js").read_text("utf-8")
    assert written.startswith("window.VARIAD = ")
    return dict(json.loads(written.removeprefix("window.VARIAD = ").rstrip(";\n")))


def grey(path: Path) -> float:
    with Image.open(path) as picture:
        return float(np.asarray(picture.convert("L")).mean())


def test_every_added_image_appears_once_with_its_facts(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    page = data_of(built(study))
    assert [len(entry["run"]) for entry in page["sets"]] == [0, 12, 12]
    found = Counter(
        (entry["training_set"], entry["seed"][i], page["images"]["id"][entry["parent"][i]], entry["run"][i])
        for entry in page["sets"]
        for i in range(len(entry["run"]))
    )
    expected = {
        (name, str(2**63 - 1 - i), study.shots[i // 6], i // 6)
        for name in ("generated", "duplicated")
        for i in range(12)
    }
    assert set(found) == expected
    assert set(found.values()) == {1}
    guided, copies = page["sets"][1], page["sets"][2]
    assert set(guided["prompt"]) == {"a <b>photo</b> of a “tiny” Löt cell"}
    assert all(0.1 <= value <= 0.4 for value in guided["similarity"])
    assert [value > 0.2 for value in guided["similarity"]] == guided["accepted"]
    assert set(copies["similarity"]) == {None}


def test_every_picture_shows_its_image(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    folder = built(study)
    page = data_of(folder)
    names = [*study.shots, *study.test_names]
    for number, name in enumerate(page["images"]["id"]):
        assert abs(grey(folder / "images" / f"{number}.jpg") - (20 + 10 * names.index(name))) < 1.5
    for number, entry in enumerate(page["sets"]):
        for index, parent in enumerate(entry["parent"]):
            value = 20 + 10 * names.index(page["images"]["id"][parent])
            assert abs(grey(folder / "added" / str(number) / f"{index}.jpg") - (255 - value)) < 1.5
    pictures = [*folder.rglob("*.jpg")]
    assert len(pictures) == len(page["images"]["id"]) + 24 + 3 * study.tests


def test_photographs_that_were_chosen_are_their_own_pictures_and_made_ones_lie_beside(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, training_sets=("duplicated",)))
    candidates, path = study.test_names[:3], study.folder / "one_shot" / "unlabelled_generated" / "added.h5"
    scores = [(0, candidates[0], 0.1, True), (0, candidates[1], 2.0, False), (1, candidates[0], 0.3, True)]
    table = pd.DataFrame(scores, columns=["run", "image_id", "score", "kept"]).assign(cut=1.0, strangeness=1.0)
    made = duplicate(flat(7)[None], [Request(0, candidates[0], 1)])
    path.parent.mkdir(parents=True)
    write_added(
        path, joined(chosen_images(study.folder / "images.h5", table), made), {"method": "unlabelled_generated"}
    )
    sources = study.sources()
    build_page(tmp_path / "page", replace(sources, added=[*sources.added, path]))
    page = data_of(tmp_path / "page")
    copies, entry = page["sets"]
    assert "picture" not in copies and "score" not in copies
    assert [page["images"]["id"][image] for image in entry["parent"]] == [*candidates[:2], candidates[0], candidates[0]]
    assert entry["score"] == [0.1, 2.0, 0.3, None] and entry["accepted"] == [True, False, True, True]
    assert entry["picture"] == [1, 0, 1, 2]  # by name
    pictures = [file.name for file in (tmp_path / "page" / "added" / "1").iterdir()]
    assert pictures == ["2.jpg"] and abs(grey(tmp_path / "page" / "added" / "1" / "2.jpg") - 7) < 1.5
    card = json.loads((tmp_path / "page" / "card.json").read_text("utf-8"))
    assert (card["added"], card["accepted"], card["unlabelled"]) == (13, 13, 2)  # what was made, and to choose from


def test_turned_copies_that_several_runs_share_lie_once(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, training_sets=("duplicated",)))
    shot, path = study.test_names[0], study.folder / "one_shot" / "turned" / "added.h5"
    wanted = [Request(run, shot, 0) for run in (0, 0, 1, 1)]
    path.parent.mkdir(parents=True)
    write_added(path, augment(np.stack([flat(7)] * 4), wanted, "rotations", turns(120)), {"method": "augment"})
    sources = study.sources()
    build_page(tmp_path / "page", replace(sources, added=[*sources.added, path]))
    _, entry = data_of(tmp_path / "page")["sets"]
    assert entry["picture"] == [0, 1, 0, 1] and "score" not in entry
    assert sorted(file.name for file in (tmp_path / "page" / "added" / "1").iterdir()) == ["0.jpg", "1.jpg"]
    card = json.loads((tmp_path / "page" / "card.json").read_text("utf-8"))
    assert (card["added"], card["accepted"], card["unlabelled"]) == (16, 16, 0)


def test_maps_share_a_scale_within_their_cell(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    folder = built(study)
    cell = data_of(folder)["cells"][1]
    images = data_of(folder)["images"]["id"]
    root = study.cells()[1] / "maps" / "run_0" / study.category
    maps = [read_map(root / f"{images[image]}.tiff", 112) for image in cell["image"]]
    assert (cell["low"], cell["high"]) == pytest.approx(colour_scale(maps))
    for index, values in enumerate(maps):
        with Image.open(folder / "maps" / "1" / f"{index}.jpg") as stored:
            found = np.asarray(stored).astype(float)
        assert np.abs(found - colourise(values, cell["low"], cell["high"])).mean() < 4


def test_scores_are_those_of_the_first_run(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    page = data_of(built(study))
    for number, cell in enumerate(page["cells"]):
        assert cell["run"] == 0
        assert [page["images"]["id"][image] for image in cell["image"]] == study.test_names
        assert cell["score"] == pytest.approx([1 + index + 0.1 * number for index in range(study.tests)])
        assert cell["label"] == [0, 1] * (study.tests // 2)


def test_nothing_of_a_user_is_markup_or_a_file_name(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, dataset='</title><script>x("1")</script>'.replace("/", ":")))
    folder = built(study)
    page = (folder / "index.html").read_text("utf-8")
    assert page.count("<script") == len([name for name in PAGE_FILES if name.endswith(".js")]) + 1
    assert "Müller &amp; Söhne #1" in page
    data = (folder / "data.js").read_text("utf-8")
    assert not set("<>&") & set(data)
    safe = set("abcdefghijklmnopqrstuvwxyz0123456789._/")
    assert all(set(str(path.relative_to(folder))) <= safe for path in folder.rglob("*"))


def test_scripts_never_write_markup_or_ask_the_network() -> None:
    for path in ASSETS.iterdir():
        source = path.read_text("utf-8")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "http"):
            assert forbidden not in source, f"{path.name}: {forbidden}"


def test_page_loads_all_its_files(tmp_path: Path) -> None:
    folder = built(build_category(Study(tmp_path)))
    page = (folder / "index.html").read_text("utf-8")
    for name in (*PAGE_FILES, "data.js"):
        assert f'"{name}"' in page
        assert (folder / name).is_file()


def test_card_counts(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    folder = built(study)
    page = data_of(folder)
    accepted = sum(page["sets"][1]["accepted"]) + 12
    card = json.loads((folder / "card.json").read_text("utf-8"))
    assert (card["added"], card["accepted"], card["tested"], card["cells"]) == (24, accepted, 8, 3)
    assert card["unlabelled"] == 0
    assert page["images"]["id"][card["shot"]] == study.shots[0]


def test_optional_parts_may_be_missing(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, masks=False, guided=False))
    sources = study.sources()
    folder = tmp_path / "page"
    build_page(folder, replace(sources, scores=[], prompts=[]))
    page = data_of(folder)
    assert (page["prompts"], page["cells"], set(page["images"]["mask"])) == ([], [], {False})
    assert page["images"]["id"] == sorted(study.shots[:2])


def test_maps_that_no_run_kept_are_left_out(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    for cell in study.cells():
        (cell / "maps" / "run_0").rename(cell / "maps" / "none")
    page = data_of(built(study))
    assert {cell["maps"] for cell in page["cells"]} == {False}
    assert [len(cell["score"]) for cell in page["cells"]] == [study.tests] * 3


def test_predictions_of_unlabelled_images(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    path = study.cells()[0] / "predictions.csv"
    rows = [(1, study.test_names[2], 5.0, 4.0, True, False), (2, study.test_names[0], 3.0, 4.0, False, True)]
    columns = ["rank", "image_id", "score", "threshold", "anomalous", "held_out"]
    answers = {"photograph": "", "answer": ["bad", "good"], "multiple": [1.25, 0.75], "calibrated": [1.0, 0.5]}
    write_table(path, pd.DataFrame(rows, columns=columns).assign(**answers), "predictions")
    build_page(tmp_path / "page", replace(study.sources(), scores=[path]))
    cell = data_of(tmp_path / "page")["cells"][0]
    assert (cell["threshold"], cell["score"], cell["label"], cell["maps"]) == (4.0, [5.0, 3.0], [None, None], False)


def test_a_missing_map_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    (study.cells()[2] / "maps" / "run_0" / study.category / f"{study.test_names[3]}.tiff").unlink()
    with pytest.raises(UserError, match=r"003 ä\.tiff: expected the anomaly map of a scored image"):
        built(study)
    assert list((study.root / "results" / "gallery" / study.dataset).iterdir()) == []


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    folder = built(study)
    (folder / "stale.txt").write_text("old", "utf-8")
    assert not (built(study) / "stale.txt").exists()
    link = f"{study.category}.predictions.js"
    assert {path.name for path in folder.parent.iterdir()} == {study.category, link, f".{link}.sha256"}


def test_a_script_stands_in_for_predictions_and_never_replaces_them(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    link = built(study).with_name(f"{study.category}.predictions.js")
    assert link.read_text("utf-8").startswith("//") and link.read_text("utf-8").count("\n") == 1  # a comment alone
    assert damages_of(link) == [] and checksums_path(link).is_file()
    link.write_text("real", "utf-8")
    built(study)
    assert link.read_text("utf-8") == "real"


def test_the_threshold_makes_the_fewest_mistakes_and_the_auroc_is_of_the_run_shown(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    # good and bad take turns, from 1 up: above 1 are all four bad ones and three good ones, and 10 of 16 pairs in order
    cell = data_of(built(study))["cells"][0]
    assert (cell["threshold"], cell["auroc"], cell["run"], cell["runs"]) == (1.0, 10 / 16, 0, 2)


def test_test_images_of_one_kind_have_no_threshold(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    path = study.cells()[0] / "scores.csv"
    rows = read_table(path, "scores")
    write_table(path, rows[rows["label"] == 0], "scores")
    cell = data_of(built(study))["cells"][0]
    assert (cell["threshold"], cell["auroc"], cell["label"]) == (None, None, [0] * 4)
