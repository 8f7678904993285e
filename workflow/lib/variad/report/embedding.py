"""Putting a user's names into pages that are opened from disk, safely."""

import html
import json
import math
from typing import Any
from urllib.parse import quote


def script_json(value: Any) -> str:
    """JSON that may stand inside a script: no ``<``, ``>``, ``&`` or non-ASCII character is left; NaN becomes null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text(value: object) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(str(value), quote=True)


def href(*parts: str) -> str:
    """A relative address of path segments, percent-encoded, so that ``#``, ``%`` and spaces stay part of a name."""
    # The leading "./" keeps a first segment with a colon from being read as a scheme.
    return "./" + "/".join(quote(part, safe="") for part in parts)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
