"""The Markdown of our tables as HTML."""

import html
import re

import pytest

from variad.core.tables import markdown_page, markdown_table
from variad.report.pages import to_html

from .test_embedding import NAMES

PAGE = """# Title

> a caption
> in two lines

Words with `code` and <b>.

## Part

| name | value |
| --- | ---: |
| `a\\|b` | 1.5 |
| c & d | |
"""


def test_headings_paragraphs_and_tables() -> None:
    html = to_html(PAGE)
    assert "<h2>Title</h2>" in html and "<h3>Part</h3>" in html
    assert '<p class="faint">a caption in two lines</p>' in html
    assert '<p class="faint">Words with <code>code</code> and &lt;b&gt;.</p>' in html
    assert '<th scope="col">name</th><th scope="col" class="number">value</th>' in html
    assert '<tr><td><code>a|b</code></td><td class="number">1.5</td></tr>' in html
    assert '<tr><td>c &amp; d</td><td class="number"></td></tr>' in html


@pytest.mark.parametrize(
    "name", [*NAMES, "*star* _low_ ~~no~~", "[a](javascript:x) ![b](c) <http://d.e>", "&amp;", "# 1. - >"]
)
def test_names_stay_what_they_are(name: str) -> None:
    page = to_html(markdown_page(f"Of {name}", f"About {name}", f"## {name}, all", markdown_table([name], [[name]], 1)))
    assert set(re.findall(r"<(/?\w+)", page)) == {
        f"{end}{tag}"
        for end in ("", "/")
        for tag in ("h2", "h3", "p", "div", "table", "thead", "tbody", "tr", "th", "td")
    }
    texts = [html.unescape(text) for text in re.findall(r"(?<=>)[^<]+", page)]
    caption = " ".join(f"About {name}".splitlines())
    assert texts == [f"Of {name}", caption, f"{name}, all", name, name]


def test_nothing_is_nothing() -> None:
    assert to_html("") == ""
