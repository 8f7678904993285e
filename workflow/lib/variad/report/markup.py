"""What stands in a page: templates, and a user's names, escaped so that they stay text.

Nothing here needs pandas or h5py, so that the inspector writes its pages with it too.
"""

import html
import json
import os
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote, urlencode

from variad.core.checksums import LONGEST_NAME, after_job
from variad.core.files import write_text

ASSETS = Path(__file__).resolve().parent / "assets"


def script_json(value: Any) -> str:
    """JSON that may stand inside a script: no ``<``, ``>``, ``&`` or non-ASCII character is left; NaN becomes null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
    text = json.dumps(finite, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text(value: object) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(str(value), quote=True)


def href(*parts: str) -> str:
    """A relative address of path segments, percent-encoded, so that ``#``, ``%`` and spaces stay part of a name."""
    # The leading "./" keeps a first segment with a colon from being read as a scheme.
    return "./" + "/".join(quote(part, safe="") for part in parts)


def fragment(tab: str = "", **values: object) -> str:
    """What stands behind an address to say what a page shows: ``#tests&scenario=one_shot&order=wrong_first``."""
    told = urlencode({key: str(value) for key, value in values.items()}, safe="/", quote_via=quote)
    return "#" + "&".join(part for part in (tab, told) if part)


def no_page_yet(link: Path) -> None:
    """Write an empty script where a page of another target will have the one that links it, if nothing is there.

    The pages that ask for it are made without that target, and a browser reports a file that it asks for in vain. It
    has a checksum, as what a job makes; the job that makes the page replaces both.
    """
    if link.exists() or len(os.fsencode(link.name)) > LONGEST_NAME:
        return
    try:
        with open(link, "x", encoding="utf-8") as stream:  # never in place of one that came meanwhile
            stream.write("// Nothing is linked here yet: the target that makes the page has not run.\n")
    except FileExistsError:
        return
    after_job([link], link.parent)


def fill(target: str | Path, template: str, folder: Path = ASSETS, **values: str) -> None:
    """Write a template of ``folder`` with its ``$names`` filled in, in one go."""
    write_text(target, Template((folder / template).read_text("utf-8")).substitute(values))
