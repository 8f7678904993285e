"""From an entry of the config's ``candidates`` to candidates that can score."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from variad.errors import UserError
from variad.selection.methods import METHODS, kind_of
from variad.selection.trials import Candidates


def open_candidates(entry: Mapping[str, Any], **around: Any) -> Candidates:
    """Make the candidates of a config entry.

    Args:
        entry: with ``method`` and the keys of that method.
        around: what the method needs beside its entry: ``image_size``, ``seed``, ``key``, ``device`` for all;
            ``detectors`` (entries of the config with their extractors in place of names), ``encoder`` (its entry) and
            ``classes`` (ConSE's file), ``class_name``.

    Raises:
        UserError: unknown method, backbone, layer, detector, template set or encoder.
    """
    method = entry["method"]
    if method not in METHODS:
        raise UserError(f"candidates: expected a method of {', '.join(METHODS)}, found '{method}'.")
    candidates: Candidates = importlib.import_module(METHODS[method][1]).open_candidates(entry, **around)
    return candidates


def candidate_table(candidates: Candidates, name: str, method: str) -> pd.DataFrame:
    """Table ``selection_candidates`` of one candidate set."""
    rows: Sequence[dict[str, str | int]] = candidates.describe()
    return pd.DataFrame(rows).assign(
        candidate=[f"{name}/{row['candidate']}" for row in rows], candidate_set=name, kind=kind_of(method)
    )
