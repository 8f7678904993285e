"""Candidates of method ``templates`` from their config entry."""

from collections.abc import Mapping
from typing import Any

from variad.encoders import load_encoder
from variad.selection.template_sets import find_templates
from variad.selection.templates import Templates


def open_candidates(
    entry: Mapping[str, Any],
    *,
    encoder: Mapping[str, Any],
    classes: str | None,
    class_name: str,
    device: str,
    **_: Any,
) -> Templates:
    """See ``variad.selection.candidate_sets.open_candidates``."""
    loaded = load_encoder(**encoder, classes=classes, device=device)
    return Templates(loaded, find_templates(entry["templates"]), class_name, device)
