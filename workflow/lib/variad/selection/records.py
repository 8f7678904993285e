"""What selection leaves: what each source chooses, a category's tables judged, averages, and the page to read.

A choice is the argmax of synthetic AUROC: nothing in it has seen a real anomaly.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.shortages import new_hdf5
from variad.core.tables import markdown_page, markdown_table, read_table
from variad.evaluation.ranking import auroc
from variad.selection.judgement import JudgedSource, tau_interval
from variad.selection.settings import DEFAULT, LARGEST, RANDOM

Array = NDArray[Any]
CANDIDATE_CHOICE = ["run", "kind", "source"]
RECIPE_CHOICE = ["scenario", "run", "source"]
KEY = ["dataset", "category", "benchmark", "source"]
MEANS = ["selected", "oracle", "average", "default", "regret", "best_picked", "tau", "half_split_tau"]
PERCENT = ["selected", "oracle", "average", "default", "regret"]
COLUMNS = [*KEY, "runs", "candidates", *MEANS[:-1], "tau_low", "tau_high", "half_split_tau"]
HEADS = ("source", *PERCENT, "τ", "best")
DECIMALS = 4
MANY_CATEGORIES = 15
LEGEND = (
    "Percent and points: real AUROC of the candidate that a source chose (`selected`), of the best candidate of each "
    "run (`oracle`), of all on average and of the fixed `default`; `regret` is the oracle less the selected. τ is "
    "Kendall's τ-b between synthetic and real AUROC over candidates, mean over runs [interval of about 95 % over "
    "images; in simulations 84 to 99 % where the half-split τ is 0.45 or more, less below]; the half-split τ of the "
    "real AUROC bounds it: what one half of the test images says about the other. `best`: how often the best "
    "candidate was picked."
)
CONTROLS_TEXT = (
    "`random`, `largest_backbone` and `default` use no anomalies. `reconstruction` takes regenerated normal images for "
    "anomalies: what the generator's own traces would choose."
)


def read_tables(paths: Sequence[str | Path], schema: str) -> pd.DataFrame:
    """Tables of one schema, one under the other."""
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True)


def synthetic_auroc(scores: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Table ``synthetic_auroc``: validation normals against anomalies, by run, source and candidate.

    Args:
        scores, candidates: schemas ``synthetic_scores`` and ``selection_candidates``, of every candidate set.
    """
    kinds = dict(zip(candidates["candidate"], candidates["kind"], strict=True))
    aurocs = _auroc_of_each(scores, ["run", "source", "candidate"])
    return aurocs.assign(kind=[kinds[name] for name in aurocs["candidate"]])


def recipe_auroc(scores: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_auroc`` of schema ``recipe_scores``: the same by scenario, run, source and training set."""
    return _auroc_of_each(scores, [*RECIPE_CHOICE, "training_set"])


def _auroc_of_each(scores: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    groups = scores.groupby(key, sort=False)
    rows = [(*place, auroc(group["score"], group["label"])) for place, group in groups]
    return pd.DataFrame(rows, columns=[*key, "synthetic_auroc"])


def choose(aurocs: pd.DataFrame, candidates: pd.DataFrame, default: str | None) -> pd.DataFrame:
    """Table ``choices``: an argmax for every run, kind and source, then controls that need no anomalies.

    Controls: ``random`` (all in equal weights, so its worth is the expected one), ``largest_backbone`` (detectors with
    the most parameters, then the deepest layer, then the highest resolution), ``default`` (a fixed detector; of the
    prompts the first).

    Args:
        aurocs, candidates: schemas ``synthetic_auroc`` and ``selection_candidates``, of every candidate set.
        default: name of the fixed detector; None for no such control.

    Raises:
        UserError: the default is no candidate.
    """
    # in the order in which the groups come first
    order = np.argsort(aurocs.groupby(CANDIDATE_CHOICE, sort=False).ngroup(), kind="stable")
    parts = [_highest(aurocs.iloc[order], CANDIDATE_CHOICE)]
    for run in sorted(set(aurocs["run"])):
        for kind, members in candidates.groupby("kind", sort=False):
            for source, names in _controls(str(kind), members, default).items():
                place = {"run": run, "kind": kind, "source": source, "synthetic_auroc": np.nan}
                parts.append(pd.DataFrame({**place, "candidate": names, "weight": 1 / len(names)}))
    return pd.concat(parts, ignore_index=True)


def choose_recipes(aurocs: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_choices`` of schema ``recipe_auroc``: the argmax for every scenario, run and source."""
    return _highest(aurocs, RECIPE_CHOICE)


def _highest(aurocs: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """What has the highest AUROC; ties share the choice in equal weights, so that its worth is their mean."""
    best = aurocs[aurocs["synthetic_auroc"] == aurocs.groupby(key)["synthetic_auroc"].transform("max")]
    weights = 1 / best.groupby(key)["synthetic_auroc"].transform("size")
    return best.assign(weight=weights).reset_index(drop=True)


def _controls(kind: str, candidates: pd.DataFrame, default: str | None) -> dict[str, list[str]]:
    names = list(candidates["candidate"])
    if kind == "prompt":
        return {RANDOM: names, DEFAULT: names[:1]}
    sizes = candidates[["parameters", "depth", "resolution"]].apply(tuple, axis=1)
    found = {RANDOM: names, LARGEST: list(candidates.loc[sizes == max(sizes), "candidate"])}
    if default is None:
        return found
    if default not in names:
        some = ", ".join(names[:4]) + (f", ... ({len(names)} candidates)" if len(names) > 4 else "")
        raise UserError(f"config key selection.default: expected a candidate such as {some}, found '{default}'.")
    return {**found, DEFAULT: [default]}


def real_defects(manifest: str | Path) -> dict[str, str]:
    """What every test image of a manifest shows, by image_id; ``good`` is normal."""
    table = read_table(manifest, "manifest")
    tested = table[table["split"] == "test"]
    return dict(zip(tested["image_id"], tested["defect"], strict=True))


def judged_table(judged: Sequence[JudgedSource], dataset: str, category: str) -> pd.DataFrame:
    """Table ``judged``."""
    return pd.DataFrame([one.row for one in judged]).assign(dataset=dataset, category=category)


def write_draws(path: str | Path, judged: Sequence[JudgedSource]) -> None:
    """Draws of tau, ``/tau`` float32 ``[rows of judged.csv, D]``, NaN where there is no ranking."""
    length = max((len(one.tau_draws) for one in judged), default=0)
    draws = np.full((len(judged), length), np.nan, np.float32)
    for row, one in enumerate(judged):
        draws[row, : len(one.tau_draws)] = one.tau_draws
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.create_dataset("tau", data=draws, compression="gzip")


def read_draws(path: str | Path) -> Array:
    """What ``write_draws`` wrote."""
    with h5py.File(path) as file:
        return np.asarray(file["tau"][:])


def selection_summary(
    judged: pd.DataFrame, draws: Array, kind: str, groups: Mapping[str, Mapping[str, str]] | None = None
) -> pd.DataFrame:
    """Table ``selection_summary`` of one kind: categories as they come, after those of each data set their averages.

    Args:
        judged: schema ``judged``, of all categories.
        draws: of tau, ``[rows of judged, D]``.
        kind: ``detector`` or ``prompt``.
        groups: for a data set, the group (say ``object``) of each category.
    """
    chosen = np.flatnonzero(judged["kind"] == kind)
    table, drawn = judged.iloc[chosen].reset_index(drop=True), draws[chosen]
    parts = []
    for dataset in dict.fromkeys(table["dataset"]):
        rows = table[table["dataset"] == dataset]
        parts.append(rows)
        categories, group_of = list(dict.fromkeys(rows["category"])), (groups or {}).get(dataset, {})
        averaged = {"average": categories}
        for category in categories:
            if category in group_of:
                averaged.setdefault(f"average_{group_of[category]}", []).append(category)
        for name, members in averaged.items():
            if len(members) > 1:
                parts.append(_average(rows[rows["category"].isin(members)], drawn, name))
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return _rounded(whole[COLUMNS])


def selection_page(summary: pd.DataFrame, title: str, caption: str) -> str:
    """A table for each data set, category and benchmark, a row a source; many categories are left to the CSV."""
    parts = [LEGEND, CONTROLS_TEXT]
    for (dataset, category, benchmark), rows in summary.groupby(KEY[:3], sort=False):
        categories = set(summary.loc[summary["dataset"] == dataset, "category"])
        if len(categories) > MANY_CATEGORIES and not str(category).startswith("average"):
            continue
        first = rows.iloc[0]
        parts.append(f"## {dataset}, {category}: {str(benchmark).replace('_', ' ')}")
        bound = _number(first["half_split_tau"], 2)
        parts.append(f"{first['candidates']} candidates, {first['runs']} runs, half-split τ {bound}.")
        parts.append(markdown_table(HEADS, [_cells(row) for row in rows.to_dict("records")], left=len(HEADS)))
    return markdown_page(title, caption, *parts)


def write_markdown(path: str | Path, text: str) -> None:
    """Write a text file."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _average(rows: pd.DataFrame, draws: Array, name: str) -> pd.DataFrame:
    found = []
    count = rows["category"].nunique()
    for _, members in rows.groupby(["benchmark", "source"], sort=False):
        if len(members) < count:
            continue  # averages of different categories could not be compared
        over_categories = draws[members.index]
        complete = np.isfinite(over_categories).all()
        mean_draws = over_categories.mean(axis=0) if complete else np.zeros(0)
        low, high = tau_interval(float(members["tau"].mean(skipna=False)), mean_draws)
        counts = {"runs": int(members["runs"].min()), "candidates": int(members["candidates"].max())}
        place = {key: members[key].iloc[0] for key in KEY}
        bounds = {"tau_low": low, "tau_high": high}
        found.append({**place, "category": name, **counts, **members[MEANS].mean(), **bounds})
    return pd.DataFrame(found)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: table[name].astype(float) * (100 if name in PERCENT else 1) for name in COLUMNS[6:]}
    # adding zero turns -0.0 into 0.0
    return table.assign(**{name: values.round(DECIMALS) + 0.0 for name, values in numbers.items()})


def _cells(row: Mapping[Any, Any]) -> list[str]:
    numbers = [_number(row[name], 1) for name in PERCENT]
    return [f"`{row['source']}`", *numbers, with_interval(row, "tau", 2), f"{100 * row['best_picked']:.0f} %"]


def with_interval(row: Mapping[Any, Any], name: str, digits: int = 1) -> str:
    """A signed number with its interval ``{name}_low`` to ``{name}_high``; empty where there is none."""
    if pd.isna(row[name]):
        return ""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:+.{digits}f}" + (f" [{low:+.{digits}f}, {high:+.{digits}f}]" if pd.notna(low) else "")


def _number(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if pd.notna(value) else ""
