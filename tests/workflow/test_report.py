"""The report of a study, made as its users make it and opened in a browser."""

import re
import zipfile

import pytest
import yaml

from tests.inspect.browser import CHROMIUM, browser

from .running import TINY, succeed

pytestmark = pytest.mark.slow
MENU = 'Array.from(document.querySelectorAll("nav a"))'
IN_FRAME = "document.querySelector('iframe').contentDocument"
NOT_IN_STUDY = {"adapter": "package_classes", "in_study": False, "categories": {"gravel": {"class_name": "gravel"}}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder that a person unpacks from the report of the tiny study."""
    folder = tmp_path_factory.mktemp("report")
    study = yaml.safe_load(TINY.read_text("utf-8"))
    study["datasets"]["classes"] = NOT_IN_STUDY
    config = folder / "study.yaml"
    config.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    said = succeed(folder, "--cores", "2", "report", config=config)
    assert said.rstrip().endswith("To hand it on: the same command with --report report.zip")
    said = succeed(folder, "--cores", "1", "report", "--report", folder / "report.zip", config=config)
    assert "WARNING/2" not in said  # of docutils, of a text that it does not understand
    with zipfile.ZipFile(folder / "report.zip") as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked" / "report"


@pytest.fixture
def page(report, tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    # a browser lets a page look into another one from disk only where it is told to
    with browser(tmp_path / "profile", "--allow-file-access-from-files") as open_page:
        open_page.shape(1400)
        open_page.open(f"file://{report}/report.html")
        open_page.wait("document.querySelectorAll('#rulegraph svg, #rulegraph canvas').length > 0")
        yield open_page
        assert errors_of(open_page) == []


def errors_of(page):
    """What went wrong, as the browser says."""
    page.run("1")
    wrong = []
    for event in page.events:
        about = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            wrong.append(about["exceptionDetails"])
        elif event["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
            wrong.append(about["entry"])
        elif event["method"] == "Network.requestWillBeSent" and about["request"]["url"].startswith("http"):
            wrong.append(about["request"]["url"])
    return wrong


def test_the_first_page_says_the_result_and_its_parts(page):
    home = page.run("document.querySelector('.prose').innerText")
    assert "points of image AUROC on average with patchcore" in home
    rows = page.run("document.querySelectorAll('.variad-table tbody tr').length")
    assert rows == 4  # two categories in two scenarios
    assert "Data sets: elpv, textures. Seed: 0." in page.run("document.body.innerText")
    parts = page.run(f"{MENU}.map(link => link.innerText.trim())")
    assert [part for part in parts if part[:1].isdigit()] == [
        "1. Result",
        "2. Anomaly maps",
        "3. Added images",
        "4. Cost",
    ]


def test_every_result_opens(page):
    """Pictures have pixels, tables rows, everything labels in place of a path; nothing begins above its place."""
    names = page.run("Object.entries(results).map(([path, one]) => [path, one.mime_type, one.data_uri, one.labels])")
    assert len(names) > 20 and all(labels for *_, labels in names)
    pages = [labels for path, *_, labels in names if re.search("/figures/|/report/(?!sheets/)", path)]
    assert {tuple(labels) for labels in pages} == {("what", "kind")}
    for path, kind, address, _ in names:
        if kind.startswith("image/"):
            page.run(f"app.setView({{content: 'img', contentPath: {address!r}}})")
            picture = f"Array.from(document.images).find(one => one.getAttribute('src') === {address!r})"
            page.wait(f"{picture}?.complete")
            width, top = page.run(f"(one => [one.naturalWidth, one.getBoundingClientRect().top])({picture})")
            assert width > 0 and top >= 0, path
        elif kind == "text/html":
            show(page, address)
            assert page.run(f"Array.from({IN_FRAME}.querySelectorAll('table')).every(one => one.rows.length > 1)"), path
            assert page.run(f"{IN_FRAME}.querySelectorAll('table').length"), path
            assert page.wait(f"Array.from({IN_FRAME}.images).every(one => one.complete)")
            assert page.run(f"Array.from({IN_FRAME}.images).every(one => one.naturalWidth > 0)"), path


def show(page, address):
    page.run(f"app.setView({{content: 'html', contentPath: {address!r}}})")
    page.wait(
        f"document.querySelector('iframe')?.getAttribute('src') === {address!r}"
        f" && {IN_FRAME}?.readyState === 'complete' && {IN_FRAME}.body?.children.length > 0"
    )


def test_from_a_number_to_the_image_behind_it(page):
    """A click on the number, a click on an image: its photograph and its anomaly map."""
    page.run("document.querySelector('.variad-table a').click()")
    page.wait(f"{IN_FRAME}?.querySelectorAll('.card img').length > 0")
    asked = page.run("document.querySelector('iframe').src")
    assert re.search(r"#tests&scenario=\w+&training_set=original&detector=patchcore", asked)
    page.run(f"{IN_FRAME}.querySelector('.card img').closest('button').click()")
    page.wait(f"{IN_FRAME}.querySelector('dialog').open")
    pictures = f"Array.from({IN_FRAME}.querySelectorAll('dialog img')).filter(one => one.getAttribute('src'))"
    page.wait(f"{pictures}.length >= 2 && {pictures}.every(one => one.complete)")
    assert page.run(f"{pictures}.every(one => one.naturalWidth > 0)")
    assert any("/maps/" in source for source in page.run(f"{pictures}.map(one => one.src)"))


def test_the_graph_of_rules_has_a_box_a_rule(page):
    boxes = page.run("rulegraph_spec.data[0].values.map(one => one.label)")
    assert len(boxes) == len(set(boxes)) > 15
    assert "score test set" in boxes and "all" not in boxes


@pytest.mark.parametrize("width", [390, 1400])
def test_the_first_page_does_not_scroll_sideways(page, width):
    page.shape(width)
    assert page.run("document.documentElement.scrollWidth") <= width
    narrow = "document.querySelector('.prose').getBoundingClientRect()"
    assert page.run(f"{narrow}.left >= 0 && {narrow}.right <= {width}")
