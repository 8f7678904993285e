"""Candidates of method ``neighbours`` from their config entry."""

from collections.abc import Mapping
from typing import Any

from variad.backbones import load_backbone
from variad.selection.neighbours import Neighbours


def open_candidates(entry: Mapping[str, Any], *, seed: int, key: tuple[str, ...], device: str, **_: Any) -> Neighbours:
    """See ``variad.selection.candidate_sets.open_candidates``."""
    backbone = load_backbone(entry["backbone"], entry["layers"], entry["weights"])
    settings = {name: entry[name] for name in ("resolutions", "scores", "grid", "bank_patches")}
    return Neighbours(backbone, **settings, seed=seed, key=key, device=device)
