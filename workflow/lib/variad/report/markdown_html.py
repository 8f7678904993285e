"""The Markdown that our tables are written in, as HTML."""

from markdown_it import MarkdownIt

# Headings, quotations, paragraphs, tables and code, no more: a user's names stay as they are and hold no markup.
_MARKDOWN = MarkdownIt("zero").enable(["heading", "blockquote", "table", "backticks", "newline"])
_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
for _kind, _html in {
    "blockquote_open": "",
    "blockquote_close": "",
    "table_open": _TABLE,
    "table_close": "</table></div>",
    "softbreak": " ",
    "hardbreak": " ",
}.items():
    _MARKDOWN.add_render_rule(_kind, lambda *_, html=_html: html)


def to_html(markdown: str) -> str:
    """HTML of a Markdown table page; its headings become h2 and h3, everything is escaped."""
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        token.block = False  # all in one line
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        elif token.type == "paragraph_open":
            token.attrs = {"class": "faint"}
        elif token.type in ("th_open", "td_open"):
            is_number = token.attrs.get("style") == "text-align:right"
            token.attrs = {"scope": "col"} if token.type == "th_open" else {}
            token.attrs |= {"class": "number"} if is_number else {}
    return _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
