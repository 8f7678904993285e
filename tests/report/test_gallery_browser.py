"""The gallery as a person meets it, in Chromium, from disk: addresses, order, words, widths, keys and 5,000 images."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from variad.report.gallery import build_page
from variad.report.pages import Part, build_branch_page, build_overview, write_link

from ..inspect.browser import CHROMIUM, Browser, browser
from .synthetic_study import Study, build_category, summary_frame

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]

NASTY = "Löt & <b> #1 100%41"
ENTER, ESCAPE, LEFT, RIGHT = ("Enter", 13), ("Escape", 27), ("ArrowLeft", 37), ("ArrowRight", 39)
HOME, END = ("Home", 36), ("End", 35)
SEEN = """[...document.images]
  .filter((one) => { const at = one.getBoundingClientRect(); return at.top < innerHeight && at.bottom > 0; })
  .every((one) => one.complete && one.naturalWidth > 0)"""
SHOWN = "byId('detail').querySelector('dl').textContent"
FAILURES = ("Runtime.exceptionThrown", "Network.loadingFailed", "Log.entryAdded", "Runtime.consoleAPICalled")


@dataclass(frozen=True)
class Gallery:
    """Where a gallery lies, and the name of its second category."""

    root: Path

    def address(self, page: str = "index.html", state: str = "") -> str:
        return f"file://{quote(str(self.root / page))}{state}"

    def category(self, state: str = "", name: str = "mono") -> str:
        return self.address(f"elpv/{name}/index.html", state)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Two categories, the page of selection, and none of outlier exposure."""
    folder = tmp_path_factory.mktemp("study")
    root, pages = folder / "gallery", []
    for category in ("mono", NASTY):
        study = build_category(Study(folder, category=category))
        pages.append(root / "elpv" / category)
        build_page(pages[-1], study.sources())
    (folder / "gains.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='1600' height='900'/>", "utf-8")
    summary = summary_frame().replace({"category": {"poly": NASTY}})
    build_overview(root / "index.html", pages, summary, folder / "gains.svg")
    cells = " | ".join(["a column that needs room"] * 12)
    (folder / "table.md").write_text(f"# Recipes\n\n| {cells} |\n|{' --- |' * 12}\n| {cells} |\n", "utf-8")
    Image.new("RGB", (1600, 900), (10, 200, 30)).save(folder / "sheet.jpg")
    parts = [
        Part(tables=[folder / "table.md"], figures=[folder / "gains.svg"], sheets=[("a sheet", folder / "sheet.jpg")])
    ]
    build_branch_page(root / "selection.html", "Selection", "A lead.", parts)
    (root / "selection.js").unlink()  # as a target does with what it makes
    write_link(root / "selection.js", "selection.html", "Selection", "A lead.", folder / "sheet.jpg")
    return Gallery(root)


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as opened:
        opened.shape(1400)
        yield opened


def failures(opened: Browser) -> list[dict[str, Any]]:
    return [event for event in opened.events if event.get("method") in FAILURES]


def visit(opened: Browser, address: str) -> None:
    """Open an address as one that was typed, also where only what is behind its "#" is another."""
    opened.tell("Page.navigate", url="about:blank")
    opened.wait("location.href === 'about:blank'")
    opened.open(address)


def cards(opened: Browser) -> list[str]:
    return opened.run("[...document.querySelectorAll('.grid .score')].map((one) => one.textContent)")


@pytest.mark.parametrize("dark", [False, True])
def test_no_page_is_wider_than_a_phone_or_asks_for_what_is_not_there(
    gallery: Gallery, chromium: Browser, dark: bool
) -> None:
    chromium.shape(390, 844, dark)
    tabs = [
        "",
        "#tests",
        "#added",
        "#shots",
        "#prompts",
        "#files",
        "#tests&image=test/good/000%20%C3%A4",
        "#added&image=1",
    ]
    pages = [
        gallery.address(),
        gallery.address("index.html", "#metric=&category=mono"),
        gallery.address("selection.html"),
    ]
    for address in (*pages, *(gallery.category(tab, name) for tab in tabs for name in ("mono", NASTY))):
        visit(chromium, address)
        chromium.wait(SEEN)
        chromium.run("[...document.querySelectorAll('details')].forEach((one) => { one.open = true; })")
        assert chromium.run("document.documentElement.scrollWidth") <= 390, address
        chromium.run("document.querySelector('.word')?.click()")
        assert chromium.run("document.documentElement.scrollWidth") <= 390, address
    assert failures(chromium) == []


def test_the_first_page_links_the_branches_that_are_there(gallery: Gallery, chromium: Browser) -> None:
    visit(chromium, gallery.address())
    names = chromium.wait("[...document.querySelectorAll('#branch-pages strong')].map((one) => one.textContent).join()")
    assert names == "Selection" and chromium.run("byId('branches-hint').hidden")


def test_three_clicks_from_an_average_to_an_image(gallery: Gallery, chromium: Browser) -> None:
    """Average, a category's mean, its first image: the wrong one that is farthest from the threshold."""
    visit(chromium, gallery.address())
    rows = "[...document.querySelectorAll('#summary tbody tr')].filter((one) => !one.hidden)"
    generated = "one.dataset.trainingSet === 'generated' && one.dataset.scenario === 'one_shot'"
    row = f"{rows}.find((one) => one.dataset.category === '{{}}' && {generated})"
    chromium.run(f"{row.format('average')}.querySelector('td.number a').click()")
    chromium.wait("location.hash.includes('training_set=generated')")
    shown = chromium.wait(f"{rows}.map((one) => one.dataset.category).join('|')")
    assert shown == f"mono|{NASTY}|average"
    chromium.run(f"{row.format(NASTY)}.querySelector('td.number a').click()")
    chromium.wait("location.hash.startsWith('#tests') && document.querySelector('.card') !== null")
    chromium.run("document.querySelector('.card').click()")
    assert chromium.wait("byId('viewer').open && byId('detail').querySelector('img').naturalWidth") > 0
    # of scores 1.1 to 8.1, every second one of a good image, the threshold is 1.1
    assert chromium.run(SHOWN).startswith("score7.1rank2 of 8") and "false alarm, above threshold" in chromium.run(
        SHOWN
    )
    assert "training setgenerated" in chromium.run(SHOWN) and "scenarioOne-shot" in chromium.run(SHOWN)
    assert failures(chromium) == []


def test_wrong_ones_come_first_the_farthest_from_the_threshold_before(gallery: Gallery, chromium: Browser) -> None:
    visit(chromium, gallery.category("#tests&training_set=original"))
    # threshold 1: good ones at 3, 5 and 7 are above it; then the right ones, from the threshold on
    assert cards(chromium) == ["7", "5", "3", "1", "2", "4", "6", "8"]
    sides = chromium.run("[...document.querySelectorAll('.grid .badge')].map((one) => one.textContent)")
    assert (
        sides
        == ["✕ false alarm, above threshold"] * 3 + ["✓ passed, below threshold"] + ["✓ found, above threshold"] * 4
    )
    assert "0 defects missed, 3 false alarms; 4 defects found, 1 good image passed." in chromium.run(
        "document.querySelector('.about').textContent"
    )
    chromium.run("[...document.querySelectorAll('.about a')][1].click()")
    assert chromium.wait("document.querySelectorAll('.card').length === 3") and cards(chromium) == ["7", "5", "3"]


def test_an_address_opens_the_same_view_in_another_browser(gallery: Gallery, chromium: Browser, tmp_path: Path) -> None:
    visit(chromium, gallery.category("", NASTY))
    for key, value in (("trainingSet", "duplicated"), ("label", "1"), ("order", "score_up")):
        chromium.run(f"byId('choose-{key}').value = '{value}'; byId('choose-{key}').dispatchEvent(new Event('change'))")
    chromium.run("document.querySelectorAll('.card')[2].click()")
    chromium.press(*RIGHT)
    told, address = chromium.run(SHOWN), chromium.run("location.href")
    assert told.startswith("score8.2") and address == chromium.run("byId('link').href")
    with browser(tmp_path / "other") as other:
        visit(other, address)
        assert other.wait("byId('viewer').open") and other.run(SHOWN) == told
        assert other.run("byId('place').textContent") == "4 of 4"
        other.press(*ESCAPE)
        other.wait("!location.hash.includes('image')")
        other.tell("Page.reload")
        other.wait("document.readyState === 'complete' && !byId('viewer').open")
        assert cards(other) == ["2.2", "4.2", "6.2", "8.2"]
        values = other.run(
            "['scenario', 'trainingSet', 'detector', 'label', 'order'].map((key) => byId(`choose-${key}`).value)"
        )
        assert values == ["one_shot", "duplicated", "patchcore", "1", "score_up"]
        assert failures(other) == []


def test_an_image_that_the_filters_hide_or_that_is_not_there(gallery: Gallery, chromium: Browser) -> None:
    visit(
        chromium,
        gallery.category(
            "#tests&training_set=original&label=0&image=test/crack%20%3Ci%3E/001%20%C3%A4&in=one_shot/generated/patchcore"
        ),
    )
    assert chromium.wait("byId('viewer').open") and "training setgenerated" in chromium.run(SHOWN)
    visit(chromium, gallery.category("#tests&image=test/gone"))
    assert "names image “test/gone”" in chromium.wait("!byId('notice').hidden && byId('notice').textContent")
    visit(chromium, gallery.category("#tests&training_set=<img src=x>&order=nonsense&page=-7"))
    assert (
        cards(chromium) == []
        and chromium.run("document.querySelector('#view .empty').textContent")
        and failures(chromium) == []
    )


def test_every_viewer_says_on_which_side_an_image_lies(gallery: Gallery, chromium: Browser) -> None:
    visit(chromium, gallery.category("#tests&training_set=original&order=score_down"))
    chromium.run("document.querySelector('.card').click()")
    plot = "byId('detail').querySelector('.plot')"
    assert chromium.run(f"{plot}.getAttribute('aria-label')") == (
        "Scores from 1 to 8 of 4 with a defect and 4 good; threshold 1; this image 8, above it."
    )
    assert chromium.run(f"[...{plot}.querySelectorAll('.mark')].map((one) => one.style.left)") == ["0%", "100%"]
    visit(chromium, gallery.category("#added&image=0"))
    assert "the recipe sets no limit" in chromium.run(SHOWN)
    visit(chromium, gallery.category("#shots"))
    chromium.run("document.querySelector('.card').click()")
    assert "it lies on no side of a threshold" in chromium.run(SHOWN)


def test_tabs_have_their_roles_and_keys(gallery: Gallery, chromium: Browser) -> None:
    visit(chromium, gallery.category())
    tab = "document.querySelectorAll('[role=tablist] > [role=tab][aria-controls=view]"
    panel = "byId('view').getAttribute"
    assert chromium.run(f"{tab}').length") == 5 and chromium.run(f"{panel}('role')") == "tabpanel"
    selected = f"{tab}[aria-selected=true]')[0].id"
    chosen = f"[document.activeElement.id, {panel}('aria-labelledby'), {selected}, location.hash]"
    chromium.run("byId('tab-tests').focus()")
    steps = (RIGHT, "added"), (LEFT, "tests"), (LEFT, "files"), (HOME, "tests"), (END, "files"), (RIGHT, "tests")
    for key, name in steps:
        chromium.press(*key)
        focused, labelled, opened, state = chromium.run(chosen)
        assert (focused, labelled, opened) == (f"tab-{name}",) * 3 and state.startswith(f"#{name}")


def test_words_are_explained_by_keyboard_and_by_touch(gallery: Gallery, chromium: Browser) -> None:
    chromium.shape(390, 844)
    first, category = gallery.address(), gallery.category()
    for address, word in ((first, "cell"), (first, "published"), (category, "accepted"), (category, "shots")):
        visit(chromium, address)
        button = f"[...document.querySelectorAll('.word')].find((one) => one.textContent === '{word}')"
        note = f"{button}.nextElementSibling"
        chromium.run(f"{button}.scrollIntoView({{ block: 'center' }}), {button}.focus()")
        chromium.press(*ENTER)
        assert len(chromium.wait(f"{note}.matches(':popover-open') && {note}.textContent")) > 60
        chromium.press(*ESCAPE)
        assert not chromium.run(f"{note}.matches(':popover-open')")
        left, right, top, bottom = chromium.run(box(button))
        for kind, points in (("touchStart", [{"x": (left + right) / 2, "y": (top + bottom) / 2}]), ("touchEnd", [])):
            chromium.tell("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        chromium.wait(f"{note}.matches(':popover-open')")
        left, right, top, bottom = chromium.run(box(note))
        assert 0 <= left < right <= 390 and 0 <= top < bottom <= 844


def test_five_thousand_images_in_each_of_eighteen_cells(gallery: Gallery, chromium: Browser, tmp_path: Path) -> None:
    """Time on the page's own thread, so that other work on the machine does not count; one page of cards at a time."""
    folder = many(gallery.root / "elpv" / "mono", tmp_path / "elpv" / "many", 5000, 18)
    chromium.tell("Performance.enable", timeDomain="threadTicks")
    visit(chromium, f"file://{folder}/index.html")
    chromium.wait(f"document.images.length && {SEEN}")
    assert spent(chromium) < 1
    assert chromium.run("document.querySelectorAll('.card').length") == 60
    assert "5000 of 90000 scores, page 1 of 84" in chromium.run("byId('view').textContent")
    for action in (
        "byId('choose-label').value = '1'; byId('choose-label').dispatchEvent(new Event('change'))",
        "byId('choose-trainingSet').value = ''; byId('choose-trainingSet').dispatchEvent(new Event('change'))",
        "document.querySelectorAll('.card')[59].click()",
    ):
        before = spent(chromium)
        chromium.run(f"{action}; document.body.offsetHeight")
        assert spent(chromium) - before < 0.5, action
    assert failures(chromium) == []


def box(node: str) -> str:
    """An expression for left, right, top and bottom of an element."""
    return f"(({{ left, right, top, bottom }}) => [left, right, top, bottom])({node}.getBoundingClientRect())"


def spent(opened: Browser) -> float:
    """Seconds that the page's thread has worked."""
    return next(
        one["value"] for one in opened.tell("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration"
    )


def many(page: Path, target: Path, images: int, cells: int) -> Path:
    """A page of so many images in so many cells, from those of a small one."""
    shutil.copytree(page, target)
    (target.parent / f"{page.name}.predictions.js").write_text("", "utf-8")
    data = json.loads((page / "data.js").read_text("utf-8").removeprefix("window.VARIAD = ").removesuffix(";\n"))
    known, (first, *_), pictures = data["images"], data["cells"], (page / "images" / "0.jpg").read_bytes()
    start = len(known["id"])
    for number in range(images):
        for key, values in known.items():
            values.append(f"test/{number:04d}" if key == "id" else values[first["image"][number % 8]])
        known["mask"][-1] = False
        (target / "images" / f"{start + number}.jpg").write_bytes(pictures)
    data["cells"] = [
        first | {
            "training_set": f"set_{cell}" if cell else "original", "maps": cell == 0, "threshold": 0.5,
            "image": list(range(start, start + images)), "label": [number % 2 for number in range(images)],
            "score": [(number * 7919 + cell * 31) % images / images for number in range(images)],
        }
        for cell in range(cells)
    ]  # fmt: skip
    for number in range(images):
        (target / "maps" / "0" / f"{number}.jpg").write_bytes(pictures)
    (target / "data.js").write_text(f"window.VARIAD = {json.dumps(data, separators=(',', ':'))};\n", "utf-8")
    return target
