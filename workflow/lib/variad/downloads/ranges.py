"""HTTP's ways to ask for the rest of a file and to know that it is the rest of the same one (RFC 9110, section 14)."""

import re
from collections.abc import Mapping


def range_headers(start: int, validator: str | None) -> dict[str, str]:
    """Headers that ask for the bytes from ``start`` on, and for the whole file where it has changed."""
    if start == 0:
        return {}
    condition = {"If-Range": validator} if validator else {}
    return {"Range": f"bytes={start}-", **condition}


def validator_of(headers: Mapping[str, str]) -> str | None:
    """What tells this version of the file from others: a strong ETag, else the date of its last change."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):  # weak ones (W/"...") promise the same meaning, not the same bytes
        return etag
    return headers.get("Last-Modified")


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """First byte and full size that ``Content-Range`` gives; None where it is not given or makes no sense."""
    found = re.fullmatch(r"\s*bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)\s*", headers.get("Content-Range", ""))
    if not found:
        return None, None
    first, total = found.groups()
    return (int(first) if first else None), (int(total) if total != "*" else None)


def content_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, None where they are not given."""
    value = headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None
