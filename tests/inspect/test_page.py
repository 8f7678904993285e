"""The page of an inspection: all in one file, a user's text as text, and thousands of photographs."""

import base64
import html as html_text
import json
import re
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from variad.inspect import page as pages
from variad.inspect.page import GoodPhotograph, PageEntry, write_page
from variad.inspect.pictures import MapScale, heat_map, laid_over, nearest_good, scale_of, small_map, thumbnail
from variad.inspect.results import row_of

from .browser import browser
from .conftest import save
from .stand_in import StandIn, StandInRegion

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&$entries.png"
SCALE = MapScale(0.2, 1.0)


def entry_of(path: str = "a.png", score: float = 0.4, **more: object) -> PageEntry:
    row = dict.fromkeys(("calibrated", "answer", "threshold", "multiple")) | {"path": path, "score": score, "boxes": []}
    values = np.array([[0.0, 0.2, 0.6], [1.0, 2.0, 0.2]], np.float32)
    picture = thumbnail(np.full((8, 8, 3), 120, np.uint8), 40, 60)
    return PageEntry(row | more, 40, 60, picture, values)


def parts_of(path: Path) -> tuple[dict, list[dict]]:
    """What is on a page, as its script reads it."""
    html = path.read_text("utf-8")
    return tuple(
        json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)[1])
        for name in ("about", "entries")
    )


def test_all_of_an_entry_is_on_the_page(tmp_path: Path) -> None:
    boxes = [{"left": 1, "top": 2, "width": 3, "height": 4, "area": 5, "peak": 0.5, "peak_x": 1, "peak_y": 2}]
    entry = entry_of(answer="bad", calibrated=0.9, threshold=0.3, multiple=1.25, boxes=boxes)
    good = [GoodPhotograph("1 of 1", b"jpeg")]
    write_page(
        tmp_path / "page.html", "lid", [replace(entry, nearest=0, remark="held out")], good=good, scale=SCALE,
        unread=[("b.png", "an empty file")],
    )  # fmt: skip
    about, (told,) = parts_of(tmp_path / "page.html")
    assert (about["low"], about["high"]) == SCALE
    assert about["unread"] == [{"path": "b.png", "reason": "an empty file"}]
    assert about["good"] == [{"name": "1 of 1", "picture": base64.b64encode(b"jpeg").decode()}]
    assert len(about["colours"]) == 256 and about["colours"][0] == "#440154"
    assert base64.b64decode(told.pop("picture")) == entry.picture
    levels = np.frombuffer(base64.b64decode(told["map"].pop("levels")), np.uint8)
    assert levels.tolist() == [0, 0, 128, 255, 255, 0]  # (0.6 - 0.2) / 0.8 * 255 = 127.5
    assert told == {
        "path": "a.png", "score": 0.4, "calibrated": 0.9, "answer": "bad", "threshold": 0.3, "multiple": 1.25,
        "boxes": boxes, "height": 40, "width": 60, "map": {"rows": 2, "columns": 3}, "nearest": 0, "remark": "held out",
    }  # fmt: skip


def test_names_are_text_and_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    good = [GoodPhotograph(HOSTILE, b"")]
    write_page(tmp_path / "page.html", HOSTILE, [entry_of(HOSTILE)] * 2, [HOSTILE], [(HOSTILE, HOSTILE)], good, SCALE)
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "<img" not in html and html.count("</script>") == 3
    assert not re.search(r"(?:src|href)=(?!x onerror)|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)
    about, entries = parts_of(tmp_path / "page.html")
    assert [entry["path"] for entry in entries] == [HOSTILE] * 2
    assert about["good"][0]["name"] == about["unread"][0]["reason"] == HOSTILE


def test_a_page_of_nothing_says_so(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "lid", [])
    about, entries = parts_of(tmp_path / "page.html")
    assert entries == [] and about["low"] < about["high"]


def test_maps_without_a_scale_share_that_of_all(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "lid", [entry_of(), replace(entry_of(), values=np.full((2, 3), 9, np.float32))])
    about, _ = parts_of(tmp_path / "page.html")
    assert 0 <= about["low"] < 0.1 and about["high"] == pytest.approx(9)


def test_five_thousand_photographs_of_noise_stay_below_a_hundred_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(60, 180, (96, 96, 3), dtype=np.uint8)
    entry = replace(entry_of(), picture=thumbnail(noise, 960, 960), values=np.ones((48, 48), np.float32))
    write_page(tmp_path / "page.html", "lid", [entry] * 500, scale=SCALE)
    assert (tmp_path / "page.html").stat().st_size * 10 < 100e6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_it(tmp_path: Path, width: int) -> None:
    """5,000 photographs: a page of cards, worst first, the enlarged one with its region, and no error."""
    box = {"left": 30, "top": 10, "width": 20, "height": 20, "area": 400, "peak": 0.7}
    entries = [entry_of(f"{number}.png", number / 5000, answer="good", multiple=None) for number in range(4999)]
    entries.append(entry_of(HOSTILE, 3.0, answer="bad", multiple=3.75, threshold=0.8, calibrated=1.0, boxes=[box]))
    write_page(tmp_path / "page.html", "lid", entries, scale=SCALE)
    look = """<script>
    byId("cards").querySelector("button").click();
    document.title = JSON.stringify({cards: byId("cards").children.length, wide: document.documentElement.scrollWidth,
      first: byId("cards").textContent.slice(0, 40), boxes: byId("detail").querySelectorAll("rect").length,
      line: byId("detail").querySelector(".plot").getAttribute("aria-label"),
      name: byId("detail").querySelector("dd").textContent, open: byId("viewer").open, place: byId("place").textContent,
      answers: byId("answers").textContent, images: document.querySelectorAll("img[src=x]").length});
    </script></body>"""
    html = (tmp_path / "page.html").read_text("utf-8").replace("</body>", look)
    (tmp_path / "page.html").write_text(html, "utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},900", "--dump-dom", f"file://{tmp_path}/page.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    seen = json.loads(html_text.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S)[1]))
    assert seen.pop("wide") <= max(width, 500)  # headless Chromium has no narrower window
    assert seen.pop("first").startswith("✕ bad3.75 × threshold")
    assert seen.pop("line") == (
        "Scores from 0 to 3 of 999 above the threshold and 4001 not above it; threshold 0.8; this image 3, above it."
    )
    assert seen == {
        "cards": 60, "boxes": 1, "name": HOSTILE, "open": True, "place": "1 of 5000", "images": 0,
        "answers": "all 5000✕ bad 1? look at it 0✓ good 4999",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
def test_the_address_keeps_what_is_shown(tmp_path: Path) -> None:
    """Answer, words, order, page and the enlarged photograph, so that a reload or a colleague sees the same."""
    entries = [
        entry_of(
            f"{'lid ä' if number % 3 else 'cap'}/{number:03}.png", number / 300, answer=("bad", "good")[number % 2]
        )
        for number in range(300)
    ]
    write_page(tmp_path / "page.html", "lid", entries, scale=SCALE)
    page = (tmp_path / "page.html").as_uri()
    shown = """JSON.stringify([byId("answers").querySelector("[aria-pressed=true]").value, byId("search").value,
      byId("order").value, byId("pages").textContent,
      byId("viewer").open && byId("detail").querySelector("dd").textContent, byId("notice").hidden])"""
    with browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        assert chromium.run("location.hash") == ""
        chromium.run("""byId("answers").querySelector("[value=bad]").click()
          byId("search").value = "Lid ä/"; byId("search").dispatchEvent(new Event("input"));
          byId("order").value = "best"; byId("order").dispatchEvent(new Event("change"));
          byId("pages").lastElementChild.click(); byId("cards").querySelectorAll("button")[1].click();
          byId("next").click()""")
        pages = "← previouspage 2 of 2, 100 photographsnext →"
        seen = ["bad", "Lid ä/", "best", pages, "lid ä/188.png", True]
        assert json.loads(chromium.run(shown)) == seen
        address = chromium.run("location.href")
        assert address == f"{page}#answer=bad&find=Lid+%C3%A4/&order=best&page=2&photograph=lid+%C3%A4/188.png"
        chromium.open("about:blank#")
        chromium.open(address)
        assert json.loads(chromium.run(shown)) == seen
        chromium.run("byId('viewer').querySelector('[data-close]').click()")
        chromium.wait("location.hash === '#answer=bad&find=Lid+%C3%A4/&order=best&page=2'")
        chromium.run("location.hash = '#answer=none%00&order=worse&page=x&photograph=gone.png'")
        chromium.wait("!byId('notice').hidden")
        assert json.loads(chromium.run(shown))[:3] == ["", "", "worst"]
        assert chromium.run("byId('notice').textContent") == (
            "The address names photograph “gone.png”, which is not among these."
        )
        assert not [event for event in chromium.events if event.get("method") == "Runtime.exceptionThrown"]


def test_thumbnails_have_the_photographs_ratio() -> None:
    square = np.zeros((32, 32, 3), np.uint8)
    given = ((1000, 500), (300, 3000), (10, 20), (1, 9999))
    sizes = [Image.open(BytesIO(thumbnail(square, *size))).size for size in given]
    assert sizes == [(96, 192), (192, 19), (20, 10), (192, 1)]


def test_the_nearest_good_photograph() -> None:
    good = np.stack([np.full((16, 16, 3), level, np.uint8) for level in (20, 60, 200)])
    assert nearest_good(np.full((64, 64, 3), 70, np.uint8), good) == 1
    assert nearest_good(np.full((64, 64, 3), 190, np.uint8), good) == 2
    assert nearest_good(np.full((64, 64, 3), 190, np.uint8), good[:0]) is None


def test_the_threshold_is_at_the_first_quarter_of_the_colours() -> None:
    inspector = StandIn()
    inspector.bundle.held_out = SimpleNamespace(peak=np.array([0.3, 0.4, 0.5]))
    assert scale_of(inspector) == pytest.approx((0.4, 2.4))  # 0.4 + 4 x (0.9 - 0.4)
    inspector.bundle.held_out.peak = np.array([])
    assert scale_of(inspector) is None
    inspector.bundle.held_out.peak = np.array([0.9])
    assert scale_of(inspector) is None


def test_a_map_is_laid_over_where_it_is_above_the_beginning_of_the_colours() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    laid = laid_over(image, np.array([[0.1, 0.2, 1.0]], np.float32), 0.2, 1.0)
    assert laid[0, 0].tolist() == laid[0, 1].tolist() == [100, 100, 100]
    yellow = np.array([253, 231, 37])
    assert laid[0, 2].tolist() == np.round(0.3 * 100 + 0.7 * yellow).astype(int).tolist()


def test_a_heat_map_has_the_photographs_size_and_its_regions(tmp_path: Path) -> None:
    inspector = StandIn()
    path = save(tmp_path / "1.png", 100, 80, 120)
    (found,) = inspector.inspect_many([str(path)])
    region = StandInRegion(30, 20, 40, 10, 400, 1.0, 30, 20)
    sheet = np.asarray(heat_map(inspector, found, inspector.bundle.pixels.read(path), [region], MapScale(0.9, 1.5)))
    assert sheet.shape == (80, 120, 3)
    orange = (sheet == (213, 94, 0)).all(axis=2)
    rows, columns = np.nonzero(orange)
    # one pixel outside of columns 30 to 69 and rows 20 to 29
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (29, 70, 19, 30)
    assert (sheet[20:30, 30:70] == 100).all()  # nothing is drawn over what it frames


def test_a_heat_map_of_a_large_photograph_is_made_small(tmp_path: Path) -> None:
    inspector = StandIn()
    path = save(tmp_path / "1.png", 100, 1500, 4096)
    (found,) = inspector.inspect_many([str(path)])
    region = StandInRegion(2000, 500, 96, 100, 9600, 1.0, 2000, 500)
    sheet = np.asarray(heat_map(inspector, found, inspector.bundle.pixels.read(path), [region], MapScale(0.9, 1.5)))
    assert sheet.shape == (750, 2048, 3)
    rows, columns = np.nonzero((sheet == (213, 94, 0)).all(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (995, 1052, 245, 304)  # a line of 5 pixels


def test_small_maps_are_those_of_the_photograph(tmp_path: Path) -> None:
    inspector = StandIn()
    (found,) = inspector.inspect_many([str(save(tmp_path / "1.png", 51, 100, 200))])
    values = small_map(inspector, found)
    assert values.shape == (24, 48) and values == pytest.approx(0.2, abs=0.001)
    row = row_of(found, inspector.answers, [])
    assert row["answer"] == "good" and row["multiple"] == pytest.approx(0.25)
    assert pages.ASSETS.is_dir()
