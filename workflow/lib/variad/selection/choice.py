"""The choice of every source: the candidates with the highest synthetic AUROC. Nothing here has seen a real anomaly."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from variad.errors import UserError
from variad.metrics.image import auroc

RANDOM, LARGEST, DEFAULT = "random", "largest_backbone", "default"
CONTROLS = (RANDOM, LARGEST, DEFAULT)
SIZE = ["parameters", "depth", "resolution"]


def synthetic_auroc(scores: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Table ``synthetic_auroc``: validation normals against anomalies, by run, source and candidate.

    Args:
        scores: schema ``synthetic_scores``, of every candidate set.
        candidates: schema ``selection_candidates``, of every candidate set.
    """
    kinds = dict(zip(candidates["candidate"], candidates["kind"], strict=True))
    rows = [
        (run, kinds[candidate], source, candidate, auroc(group["score"], group["label"]))
        for (run, source, candidate), group in scores.groupby(["run", "source", "candidate"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["run", "kind", "source", "candidate", "synthetic_auroc"])


def choose(aurocs: pd.DataFrame, candidates: pd.DataFrame, default: str | None) -> pd.DataFrame:
    """Table ``choices``: an argmax for every run, kind and source, then controls that need no anomalies.

    Candidates that tie for the highest AUROC share the choice in equal weights, so that what it is worth is their mean.
    Controls: ``random`` (all in equal weights, so its worth is the expected one), ``largest_backbone`` (detectors with
    the most parameters, then the deepest layer, then the highest resolution), ``default`` (a fixed detector; of the
    prompts the first).

    Args:
        aurocs: schema ``synthetic_auroc``.
        candidates: schema ``selection_candidates``, of every candidate set.
        default: name of the fixed detector; None for no such control.

    Raises:
        UserError: the default is no candidate.
    """
    parts = [_argmax(group) for _, group in aurocs.groupby(["run", "kind", "source"], sort=False)]
    for run in sorted(set(aurocs["run"])):
        for kind, members in candidates.groupby("kind", sort=False):
            for source, names in _controls(str(kind), members, default).items():
                parts.append(_shared(run, str(kind), source, names, np.nan))
    return pd.concat(parts, ignore_index=True)


def _argmax(group: pd.DataFrame) -> pd.DataFrame:
    best = group["synthetic_auroc"].max()
    first = group.iloc[0]
    names = group.loc[group["synthetic_auroc"] == best, "candidate"]
    return _shared(first["run"], first["kind"], first["source"], list(names), best)


def _shared(run: int, kind: str, source: str, names: Sequence[str], value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": run,
            "kind": kind,
            "source": source,
            "candidate": list(names),
            "synthetic_auroc": value,
            "weight": 1 / len(names),
        }
    )


def _controls(kind: str, candidates: pd.DataFrame, default: str | None) -> dict[str, list[str]]:
    names = list(candidates["candidate"])
    if kind == "prompt":
        return {RANDOM: names, DEFAULT: names[:1]}
    sizes = candidates[SIZE].apply(tuple, axis=1)
    found = {RANDOM: names, LARGEST: list(candidates.loc[sizes == max(sizes), "candidate"])}
    if default is not None:
        found[DEFAULT] = [check_candidate("selection.default", default, names)]
    return found


def check_candidate(key: str, name: str, known: Sequence[str]) -> str:
    """The name itself.

    Raises:
        UserError: no candidate has it.
    """
    if name not in known:
        some = ", ".join(list(known)[:4]) + (f", ... ({len(known)} candidates)" if len(known) > 4 else "")
        raise UserError(f"config key {key}: expected a candidate such as {some}, found '{name}'.")
    return name
