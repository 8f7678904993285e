"""The documents: every link leads to a file, and to a heading of it, that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "config").glob("*.md")])
INDEX = ROOT / "docs/README.md"


def prose(document: Path) -> str:
    """A document without its blocks of code, whose lines may look like headings and links."""
    return re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.S | re.M)


def anchors(document: Path) -> list[str]:
    """Those of all headings, as GitHub makes them: small letters, no signs, hyphens for spaces, numbers for repeats."""
    headings = re.findall(r"^#+ (.*)", prose(document), re.M)
    shown = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in shown]
    return [anchor + (f"-{before}" if (before := plain[:at].count(anchor)) else "") for at, anchor in enumerate(plain)]


def links(document: Path) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)) if "://" not in link]


def lost(document: Path) -> list[str]:
    """Links of a document that lead nowhere."""
    found = []
    for link in links(document):
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    assert lost(document) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One (`two.smk`, `a.b`)\n## On\n## On\n[a](#one-twosmk-ab) [b](#two) [c](page.md#on-1) [d](gone.md)\n"
    )
    assert lost(page) == ["#two", "gone.md"]


def test_the_index_leads_to_every_document():
    named = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    assert [path.name for path in (ROOT / "docs").glob("*.md") if path != INDEX and path not in named] == []
