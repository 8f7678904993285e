"""Costs of units from what the jobs of a finished run took: least squares with nothing below zero."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from variad.planning.costs import START
from variad.planning.units import Work

Key = tuple[str, str, str]


def fit_costs(jobs: Iterable[tuple[str, Work, float]], known: Mapping[Key, float] | None = None) -> dict[Key, float]:
    """Seconds of each unit by (rule, variant, unit), ``job`` included.

    Jobs of one rule and variant are fitted together. Where they all did the same amount of work, what they took beyond
    the shortest job of their rule is charged to the work.

    Args:
        jobs: (rule, work, seconds that it took).
        known: costs that were measured by themselves; they are taken off first, and not returned.
    """
    groups: dict[tuple[str, str], list[tuple[Mapping[str, float], float]]] = defaultdict(list)
    for rule, work, seconds in jobs:
        groups[rule, work.variant].append((work.units, seconds))
    start = _shortest(groups)
    found: dict[Key, float] = {}
    for (rule, variant), group in groups.items():
        fixed = {unit: cost for (other, same, unit), cost in (known or {}).items() if (other, same) == (rule, variant)}
        found |= {(rule, variant, unit): cost for unit, cost in _fit(group, fixed, start[rule]).items()}
    return found


def _shortest(groups: Mapping[tuple[str, str], list[tuple[Mapping[str, float], float]]]) -> dict[str, float]:
    """Seconds of the shortest job of every rule."""
    shortest: dict[str, float] = {}
    for (rule, _), group in groups.items():
        shortest[rule] = min(shortest.get(rule, np.inf), *(seconds for _, seconds in group))
    return shortest


def _fit(
    group: list[tuple[Mapping[str, float], float]], fixed: Mapping[str, float], shortest: float
) -> dict[str, float]:
    units = sorted({unit for counts, _ in group for unit in counts if unit not in fixed})
    counts = np.array([[of_job.get(unit, 0.0) for unit in units] for of_job, _ in group]).reshape(len(group), -1)
    known = np.array([sum(fixed[unit] * of_job.get(unit, 0.0) for unit in fixed) for of_job, _ in group])
    rest = np.maximum(np.array([seconds for _, seconds in group]) - known, 0.0)
    if len(units) == 1 and counts.min() == counts.max() > 0:  # nothing varies: all above the rule's shortest is work
        start = min(shortest, float(rest.mean()))
        return {START: start, units[0]: (float(rest.mean()) - start) / float(counts[0, 0])}
    return dict(zip([START, *units], _non_negative(counts, rest), strict=True))


def _non_negative(counts: NDArray[np.float64], took: NDArray[np.float64]) -> list[float]:
    """Least squares of ``took`` by a start and units ``[jobs, units]``; long jobs' errors weigh less, by the root."""
    from scipy.optimize import nnls

    columns = np.column_stack([np.ones(len(took)), counts])
    scale = np.maximum(columns.max(axis=0), 1e-12)
    weight = 1 / np.sqrt(np.maximum(took, 0.1))
    costs, _ = nnls(columns / scale * weight[:, None], took * weight)
    return [float(cost) for cost in costs / scale]
