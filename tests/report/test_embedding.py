"""Names of users may hold anything; pages must survive them."""

import html
import json
from urllib.parse import parse_qsl, unquote

import pytest

from variad.report.markup import fragment, href, script_json, text

NAMES = [
    "</script><script>alert(1)",
    "<!--",
    "a&b",
    "ü 日本",
    "quote \" and ' and \\",
    "line\u2028separator",
    "100%41 #1?",
]


@pytest.mark.parametrize("name", NAMES)
def test_script_json_keeps_the_value_and_holds_no_markup(name: str) -> None:
    written = script_json({name: [name]})
    assert json.loads(written) == {name: [name]}
    assert not set("<>&\u2028") & set(written)
    assert written.isascii()


def test_script_json_writes_missing_numbers_as_null() -> None:
    assert script_json([1.5, float("nan"), {"x": float("inf")}]) == '[1.5,null,{"x":null}]'


@pytest.mark.parametrize("name", NAMES)
def test_href_is_one_safe_path_segment_a_name(name: str) -> None:
    address = href("elpv", name, "index.html")
    assert [unquote(part) for part in address.split("/")] == [".", "elpv", name, "index.html"]
    assert not set("<>&\"' #?") & set(address)


@pytest.mark.parametrize("name", NAMES)
def test_a_fragment_keeps_values_apart(name: str) -> None:
    tab, *told = fragment("tests", image=f"test/{name}", label=1).removeprefix("#").split("&")
    assert tab == "tests" and dict(parse_qsl("&".join(told))) == {"image": f"test/{name}", "label": "1"}
    assert fragment(category="") == "#category="


@pytest.mark.parametrize("name", NAMES)
def test_text_is_inert(name: str) -> None:
    assert html.unescape(text(name)) == name
    assert not set("<>\"'") & set(text(name))
