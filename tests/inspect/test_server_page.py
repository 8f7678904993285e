"""The page as a person uses it, in Chromium: wide and narrow, light and dark, by mouse and by keyboard."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .browser import CHROMIUM, browser
from .test_server import OneByOne, running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
LONG = "a very long name of a photograph that was taken on the line 3 on a Monday.tif"
HOSTILE = "<img src=x onerror=alert(1)>&quot;.png"


def save(path: Path, level: int, spot: int = 0, height: int = 300, width: int = 480) -> Path:
    """A grey photograph with a bright spot of some pixels a side."""
    shade = np.linspace(-15, 15, width)[None, :, None] + np.random.default_rng(level).normal(0, 4, (height, width, 1))
    pixels = np.clip(level + shade.repeat(3, axis=2), 0, 255).astype(np.uint8)
    pixels[60 : 60 + spot, 300 : 300 + spot] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "notes.txt").write_text("no photograph")
    return {
        "good": save(folder / "good.png", 60),
        "look": save(folder / HOSTILE, 130, spot=150),
        "bad": save(folder / LONG, 215, spot=80),
        "tall": save(folder / "tall.jpg", 90, height=900, width=300),
        "text": folder / "notes.txt",
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with running(OneByOne()) as server, browser(tmp_path_factory.mktemp("profile")) as window:
        window.server = server
        yield window


def fresh(page, width=1300, height=900, dark=False):
    page.shape(width, height, dark)
    page.open(page.server.address)
    page.wait("state.about")
    page.events.clear()


def answers(page):
    return page.run("[...document.querySelectorAll('#cards .badge')].map((one) => one.textContent)")


def send(page, *files):
    """Choose files and wait until all are done."""
    page.choose_files("#file", *files)
    page.wait("!state.busy && (byId('status').textContent !== '')")
    page.wait("byId('result').hidden || (byId('photo').naturalWidth && byId('heat').naturalWidth)")


def requests(page):
    return [event["params"]["request"] for event in page.events if event["method"] == "Network.requestWillBeSent"]


def faults(page):
    """Errors of scripts, refused contents, and requests to anywhere but the server."""
    wrong = [event for event in page.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    wrong = [event for event in wrong if event["params"].get("entry", {}).get("source") != "network"]  # such as 422
    own = (page.server.address, "data:", "blob:")
    return wrong + [request["url"] for request in requests(page) if not request["url"].startswith(own)]


def place(page, element):
    names = ("x", "y", "width", "height")
    return page.run(f"((box) => {list(names)}.map((name) => box[name]))({element})")


def fits(page):
    """Whether nothing has to be scrolled sideways."""
    return page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_photograph_is_chosen_and_shown(page, photographs):
    fresh(page)
    assert page.run("[byId('product').textContent, byId('result').hidden]") == ["bottle lid", True]
    send(page, photographs["look"])
    assert page.run("byId('answer').textContent") == "Look at it"
    assert page.run("byId('answer').className") == "answer is-look"
    assert page.run("byId('answer').querySelectorAll('svg path').length") == 2  # a shape, not a colour alone
    assert page.run("byId('multiple').textContent").endswith(" × threshold")
    assert page.run("byId('words').textContent").endswith(" held-out good photographs.")
    # what the file is called is text, wherever it stands
    holding = (
        "[...document.querySelectorAll('dd, #cards .text, #status')].filter((one) => one.textContent.includes('<img'))"
    )
    assert page.run(f"{holding}.length") == 3
    assert page.run("document.querySelectorAll('img[src=x]').length") == 0
    # map and boxes lie over the photograph, in its own pixels
    assert page.run("byId('boxes').getAttribute('viewBox')") == "0 0 480 300"
    left, top, width, height = place(page, "document.querySelector('#boxes .edge').getBBox()")
    assert [left, top, width, height] == page.run(
        "['left', 'top', 'width', 'height'].map((one) => state.shown.boxes[0][one])"
    )
    assert left < 375 < left + width and top < 135 < top + height  # the middle of the spot
    photo, heat, boxes = (place(page, f"byId('{name}').getBoundingClientRect()") for name in ("photo", "heat", "boxes"))
    assert photo == heat == boxes and photo[2] / photo[3] == pytest.approx(480 / 300, rel=0.01)
    assert fits(page) and faults(page) == []


def test_several_are_dropped_and_what_is_no_photograph_is_said(page, photographs):
    fresh(page)
    before = page.run("state.results.length")
    page.drop_files(*(photographs[name] for name in ("good", "text", "bad", "tall")))
    page.wait(f"!state.busy && state.results.length === {before + 3}")
    assert page.run("byId('status').textContent") == "3 of 4 files were inspected."
    assert page.run("byId('over').hidden")
    assert page.run("[...document.querySelectorAll('#refused li')].map((one) => one.textContent)") == [
        "notes.txt: expected an image (PNG, JPEG, BMP, TIFF, WEBP), found a damaged file or another format."
    ]
    assert answers(page)[:3] == ["Good", "Bad", "Good"]
    page.run("byId('forget').click()")
    assert page.run("byId('refused').hidden") and faults(page) == []


def test_the_last_results_survive_a_reload_and_are_sorted_and_filtered(page, photographs):
    fresh(page)
    send(page, *(photographs[name] for name in ("good", "bad", "look", "tall")))
    fresh(page)
    kept = page.run("state.results.length")
    assert kept >= 4 and answers(page)[:4] == ["Good", "Look at it", "Bad", "Good"]
    page.run("byId('order').value = 'worst'; byId('order').dispatchEvent(new Event('change'))")
    order = [
        int(number) for number in page.run("[...document.querySelectorAll('#cards button')].map((one) => one.value)")
    ]
    by_number = {one["number"]: one["score"] for one in page.run("state.results")}
    scores = [by_number[number] for number in order]
    assert len(scores) == kept and scores == sorted(scores, reverse=True)
    page.run("((one) => { one.focus(); one.click(); })(document.querySelector('#answers [value=look]'))")
    assert set(answers(page)) == {"Look at it"} and page.run("document.activeElement.value") == "look"
    page.run("byId('answers').children[0].click()")
    assert len(answers(page)) == kept


def test_a_pasted_picture_is_inspected(page, photographs):
    fresh(page)
    before = page.run("state.results.length ? state.results[0].number : 0")
    page.run(
        """fetch(`/results/${state.results[0].number}/photo.jpg`).then((one) => one.blob()).then((blob) => {
          const data = new DataTransfer();
          data.items.add(new File([blob], "image.jpg"));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        })"""
    )
    page.wait(f"state.results[0].number === {before + 1}")
    assert page.run("state.shown.path") == "image.jpg"


def test_map_and_regions_are_shown_as_strong_as_one_likes(page, photographs):
    fresh(page)
    send(page, photographs["bad"])
    assert page.run("byId('heat').style.opacity") == "0.7"
    page.run("byId('opacity').focus()")
    page.press("Home", 36)
    assert page.run("[byId('heat').style.opacity, byId('strength').textContent]") == ["0", "0 %"]
    page.press("ArrowRight", 39)
    assert page.run("byId('heat').style.opacity") == "0.01"
    page.press("Tab", 9)
    page.press(" ", 32)
    assert page.run("[byId('framed').checked, getComputedStyle(byId('boxes')).display]") == [False, "none"]
    assert page.run("document.querySelector('.tag').hidden")


def test_all_can_be_done_by_keyboard(page, photographs):
    fresh(page)
    send(page, photographs["good"], photographs["bad"])
    reached = []
    page.run("document.activeElement.blur()")
    for _ in range(12):
        page.press("Tab", 9)
        names = page.run("((one) => [one.id, one.className, one.closest('[id]').id])(document.activeElement)")
        reached.append(next(name for name in names if name))
    assert reached[:3] == ["choose", "opacity", "framed"]
    assert {"regions", "answers", "order", "card"} <= set(reached)
    page.run("document.querySelector('#regions button').focus()")
    assert page.run("byId('boxes').children[0].getAttribute('class')") == "chosen"
    page.run("document.querySelector('#cards button').focus()")
    page.press("ArrowRight", 39)
    assert page.run("state.shown === state.results[1] && document.activeElement.value == state.shown.number")
    page.press("ArrowLeft", 37)
    page.press("Enter", 13)
    assert page.run("state.shown === state.results[0]")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 320, 768, 1300])
def test_it_fits_narrow_and_wide_light_and_dark(page, photographs, width, dark):
    fresh(page, width, 844, dark)
    send(page, photographs["text"], photographs["tall"], photographs["look"], photographs["bad"])
    assert fits(page)
    colour = "getComputedStyle(document.body).{}.match(/[0-9]+/g).map(Number)"
    assert (sum(page.run(colour.format("backgroundColor"))) < sum(page.run(colour.format("color")))) == dark
    seen, told = (
        place(page, f"document.querySelector('.{name}').getBoundingClientRect()") for name in ("seen", "told")
    )
    stacked = told[1] >= seen[1] + seen[3]
    assert stacked == (width <= 760)


def test_what_is_too_large_is_not_even_sent(page, photographs):
    page.server.largest = 1000
    try:
        fresh(page)
        send(page, photographs["good"])
        assert "expected a file of at most 0.0 MiB, found 0." in page.run("byId('refused').textContent")
        requests = [
            event["params"]["request"] for event in page.events if event["method"] == "Network.requestWillBeSent"
        ]
        assert not [request for request in requests if request["method"] == "POST"]
    finally:
        page.server.largest = 2**26


def test_an_inspector_that_has_stopped_is_said(tmp_path, photographs):
    with browser(tmp_path / "profile") as page:
        with running(OneByOne()) as server:
            page.open(server.address)
            page.wait("state.about")
        page.choose_files("#file", photographs["good"])
        page.wait("!byId('refused').hidden")
        assert "good.png: it could not be sent" in page.run("byId('refused').textContent")
