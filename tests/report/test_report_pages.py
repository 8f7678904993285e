"""The report's first words and pages, and the gallery with smaller pictures."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from variad.report.light_gallery import SIDES, copy_gallery, smaller
from variad.report.report_pages import in_code, write_cost_page, write_home, write_result_page

from .synthetic_study import summary_frame

GALLERY = "results/report/gallery/index.html"


def test_the_first_words_say_what_helped_and_lead_to_the_images(tmp_path: Path) -> None:
    summary = summary_frame()
    summary.loc[summary["category"] == "mono", "category"] = "Müller & Söhne #1"
    write_home(tmp_path / "home.html", summary, GALLERY)
    home = (tmp_path / "home.html").read_text("utf-8")
    assert "points of image AUROC on average with patchcore" in home.partition("<table")[0]
    assert "`" not in home and "<code>" in home
    rows = re.findall(r"<tr>(.*?)</tr>", home)[1:]
    shown = summary[summary["metric"] == "image_auroc"]
    assert len(rows) == len(shown[["dataset", "category", "scenario"]].drop_duplicates())
    scripts = [html.unescape(each) for each in re.findall(r'onclick="([^"]*)"', home)]
    single = shown[~shown["category"].str.startswith("average")]
    assert len(scripts) == len(single)  # averages have no images of their own
    assert (
        scripts[0] == f"app.setView({{content: 'html', contentPath: results[\"{GALLERY}\"].data_uri.replace("
        "/index\\.html$/, "
        '"elpv/M%C3%BCller%20%26%20S%C3%B6hne%20%231/index.html'
        '#tests&scenario=one_shot&training_set=original&detector=patchcore&order=wrong_first")}); return false'
    )
    assert "Müller &amp; Söhne" in home


def test_gains_are_bold_where_they_are_certain(tmp_path: Path) -> None:
    summary = summary_frame()
    summary["gain_low"] = np.where(summary["training_set"] == "generated", 0.1, -0.1)
    write_home(tmp_path / "home.html", summary, GALLERY)
    home = (tmp_path / "home.html").read_text("utf-8")
    shown = summary[(summary["metric"] == "image_auroc") & (summary["training_set"] == "generated")]
    assert home.count("<strong>") == len(shown)


def test_a_name_stays_text() -> None:
    assert in_code("`<b>` & more") == "<code>&lt;b&gt;</code> &amp; more"


def test_pages_have_their_tables_and_figures_inside(tmp_path: Path) -> None:
    (tmp_path / "gains.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    table = "# Summary\n\n## Image AUROC\n\n| a | b |\n|:--|--:|\n| x | 1 |\n"
    write_result_page(tmp_path / "result.html", summary_frame(), table, [tmp_path / "gains.svg"])
    write_cost_page(tmp_path / "cost.html", "# What\n\n2 jobs.\n\n| rule | jobs |\n|:--|--:|\n| fit | 2 |\n")
    result, cost = ((tmp_path / name).read_text("utf-8") for name in ("result.html", "cost.html"))
    assert 'src="data:image/svg+xml;base64,' in result and "<td>x</td>" in result
    assert "Summary" not in result and result.count("<h1>") == cost.count("<h1>") == 1
    assert "<td>fit</td>" in cost and "http" not in cost


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A gallery of one page with a picture in each of its folders, and what the workflow alone reads."""
    page = tmp_path / "gallery" / "elpv" / "mono"
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    for folder in ("images", "added/0", "maps/1", "masks"):
        (page / folder).mkdir(parents=True)
    for folder in ("images", "added/0", "maps/1"):
        Image.fromarray(noise).save(page / folder / "0.jpg", quality=80)
    Image.fromarray(noise[..., 0] > 99).save(page / "masks" / "0.png")
    for name in ("index.html", "data.js", "contents.txt", "card.json", ".contents.txt.sha256"):
        (page / name).write_text(name)
    for name in ("index.html", "selection.html", "selection.js"):
        (tmp_path / "gallery" / name).write_text(name)
    return tmp_path / "gallery"


def test_the_light_gallery_has_the_same_pages_and_smaller_pictures(tmp_path: Path, gallery: Path) -> None:
    copy, page = tmp_path / "copy", gallery / "elpv/mono"
    copy_gallery(copy, gallery / "index.html", [page])
    found = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    here = "elpv/mono/"
    pages = {"index.html", "selection.js", "exposure.js", "elpv/mono.predictions.js"}
    assert found == pages | {
        here + name
        for name in ("index.html", "data.js", "images/0.jpg", "added/0/0.jpg", "maps/1/0.jpg", "masks/0.png")
    }
    assert (copy / "selection.js").read_text() != "selection.js"  # the page that it would link is not here
    for folder, side in (("images", 160), ("added/0", 160), ("maps/1", 64)):
        with Image.open(copy / here / folder / "0.jpg") as picture:
            assert picture.size == (side, side) and SIDES[folder.partition("/")[0]] == side
        assert (copy / here / folder / "0.jpg").stat().st_size < (page / folder / "0.jpg").stat().st_size
    assert (copy / here / "masks/0.png").read_bytes() == (page / "masks/0.png").read_bytes()
    copy_gallery(copy, gallery / "index.html", [])  # in place of what was there
    assert not (copy / "elpv").exists()


def test_a_picture_never_grows(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", quality=5)
    assert len(smaller(tmp_path / "a.jpg", 160)) <= (tmp_path / "a.jpg").stat().st_size
