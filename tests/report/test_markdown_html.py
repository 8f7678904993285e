"""The Markdown of our tables as HTML."""

from variad.report.markdown_html import to_html

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


def test_nothing_is_nothing() -> None:
    assert to_html("") == ""
