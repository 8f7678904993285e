"""The page holds its tables and figures, and the first page links it only when it is there."""

import base64
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from variad.report.markup import ASSETS
from variad.report.pages import Part, build_branch_page, write_link

from ..inspect.browser import CHROMIUM, browser


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    (tmp_path / "table.md").write_text("# Recipes\n\n| source | regret |\n| --- | ---: |\n| scar | 3.5 |\n", "utf-8")
    (tmp_path / "tau.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", "utf-8")
    Image.new("RGB", (300, 200), (10, 200, 30)).save(tmp_path / "sheet.jpg")
    sheets = [("elpv / <mono>: scar", tmp_path / "sheet.jpg")]
    return [Part(tables=[tmp_path / "table.md"], figures=[tmp_path / "tau.svg"]), Part("Anomalies", sheets=sheets)]


def test_everything_is_inside_the_page(parts: list[Part], tmp_path: Path) -> None:
    build_branch_page(tmp_path / "selection.html", "Selection & more", "A lead.", parts)
    html = (tmp_path / "selection.html").read_text("utf-8")
    assert "<h1>Selection &amp; more</h1>" in html and "<h2>Recipes</h2>" in html and "<h2>Anomalies</h2>" in html
    assert '<td>scar</td><td class="number">3.5</td>' in html
    figure = base64.b64encode((tmp_path / "tau.svg").read_bytes()).decode()
    sheet = base64.b64encode((tmp_path / "sheet.jpg").read_bytes()).decode()
    assert f"data:image/svg+xml;base64,{figure}" in html and f"data:image/jpeg;base64,{sheet}" in html
    assert "<summary>elpv / &lt;mono&gt;: scar</summary>" in html
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert [name for name in addresses if not name.startswith("data:")] == ["./index.html"]


def test_the_link_is_a_card_and_the_first_page_asks_for_it(parts: list[Part], tmp_path: Path) -> None:
    write_link(tmp_path / "selection.js", "selection.html", "Selection", "A <lead>.", tmp_path / "sheet.jpg")
    script = (tmp_path / "selection.js").read_text("utf-8")
    card = json.loads(re.search(r"innerHTML = (.*);", script)[1])
    assert 'href="./selection.html"' in card and "A &lt;lead&gt;." in card and "data:image/jpeg;base64," in card
    overview = (ASSETS / "overview.html").read_text("utf-8")
    for name in re.findall(r'getElementById\("([^"]*)"\)', script):
        assert f'id="{name}"' in overview
    assert '["selection", "exposure"]' in (ASSETS / "overview.js").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_in_a_report_the_page_leads_to_no_first_page(parts: list[Part], tmp_path: Path) -> None:
    """A report shows it in a frame, and has no other page of the gallery beside it."""
    build_branch_page(tmp_path / "selection.html", "Selection", "A lead.", parts)
    address, frame = f"file://{tmp_path}/selection.html", "document.querySelector('iframe')"
    with browser(tmp_path / "profile", "--allow-file-access-from-files") as page:
        page.open(address)
        assert page.run("document.querySelector('nav').hidden") is False
        page.run("document.body.replaceChildren(document.createElement('iframe'))")
        page.run(f"{frame}.src = {json.dumps(address)}")
        page.wait(f"{frame}.contentDocument?.querySelector('nav + script') != null")
        assert page.run(f"{frame}.contentDocument.querySelector('nav').hidden") is True
