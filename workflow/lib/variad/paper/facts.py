"""The numbers of the document's tables 5 to 15, looked up by the names of a study: published ones and ours.

What was published, and what is odd about it, is in ``resources/published``; ours are in a summary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from variad.core.tables import read_table
from variad.evaluation.aggregation import published_detector
from variad.paper.arrangement import DETECTORS, MEMBERS

KEY = ("dataset", "detector", "scenario", "source", "category", "metric")
GAIN_KEY = ("detector", "scenario", "metric")
NONE = (float("nan"), float("nan"))
TOLERANCE = 0.001  # percent; values of a summary are rounded to 0.0001
FILES = {"auroc": "published_auroc", "table_5_gains": "published_gains", "footnotes": "published_footnotes"}

Values = dict[tuple[str, ...], tuple[float, float]]  # mean and standard deviation by the values of KEY


@dataclass(frozen=True)
class Facts:
    """The tables of ``resources/published``, as they are.

    Attributes:
        auroc: schema ``published_auroc``; gains: ``published_gains``; footnotes: ``published_footnotes``.
    """

    auroc: pd.DataFrame
    gains: pd.DataFrame
    footnotes: pd.DataFrame

    def printed(self, key: Mapping[str, str]) -> tuple[float, float]:
        """Mean and standard deviation that the document prints, percent; NaN where it prints none.

        A gain of table 5 is the printed one; those of tables 6 to 15 all equal the difference of the printed means.

        Args:
            key: by ``KEY``, with our names; source is ``original``, ``generated`` or ``gain``.
        """
        if key["source"] != "gain":
            return self._values.get(_place(key, KEY), NONE)
        if key["category"] == "average" and key["dataset"] == "mvtec_ad":
            return self._gains.get(_place(key, GAIN_KEY), float("nan")), float("nan")
        before, after = (self.printed({**key, "source": source})[0] for source in ("original", "generated"))
        return round(after - before, 1) + 0.0, float("nan")

    def notes(self, key: Mapping[str, str]) -> tuple[str, ...]:
        """What is known to be inconsistent about a printed number; ``key`` as above."""
        return self._notes.get(_place(key, KEY), ())

    @cached_property
    def _values(self) -> Values:
        return _by_key(self.auroc, "mean_percent", "std_percent")

    @cached_property
    def _gains(self) -> dict[tuple[str, ...], float]:
        rows = self.gains.to_dict("records")
        return {tuple(str(row[name]) for name in GAIN_KEY): float(row["gain_percent"]) for row in rows}

    @cached_property
    def _notes(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        return {tuple(map(str, place)): tuple(rows["note"]) for place, rows in self.footnotes.groupby(list(KEY))}


def read_facts(folder: str | Path) -> Facts:
    """Read the tables of ``resources/published``.

    Raises:
        UserError: one is missing or does not follow its schema.
    """
    tables = {name: read_table(Path(folder) / f"{name}.csv", schema) for name, schema in FILES.items()}
    return Facts(tables["auroc"], tables["table_5_gains"], tables["footnotes"])


def _by_key(table: pd.DataFrame, mean: str, std: str) -> Values:
    rows = table.to_dict("records")
    return {tuple(str(row[name]) for name in KEY): (float(row[mean]), float(row[std])) for row in rows}


def _place(key: Mapping[str, str], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(published_detector(key[name]) if name == "detector" else key[name] for name in columns)


class Measured:
    """Means and standard deviations of a study by the keys of the document's numbers.

    Args:
        summary: schema ``summary``; the document's baseline is our ``original``, its method our ``generated``.
    """

    def __init__(self, summary: pd.DataFrame) -> None:
        self._values = _by_key(summary.rename(columns={"training_set": "source"}), "mean", "std")

    def value(self, key: Mapping[str, str]) -> tuple[float, float]:
        """Mean and standard deviation over runs, percent; NaN where the study has none.

        A gain is the difference of two means. An average is over all categories that the document averages, and there
        is none unless the study has them all. Its spread is that of the summary's own average, where this is over the
        same categories; of a study that has others too, it is not known.
        """
        if key["source"] == "gain":
            return self._gain(key), float("nan")
        found = self._values.get(tuple(key[name] for name in KEY), NONE)
        members = MEMBERS.get((key["dataset"], key["category"]))
        if members is None:
            return found
        parts = [self.value({**key, "category": category})[0] for category in members]
        mean = sum(parts) / len(parts)
        return round(mean, 4), found[1] if abs(mean - found[0]) < TOLERANCE else float("nan")

    def _gain(self, key: Mapping[str, str]) -> float:
        if key["detector"] == "average":
            gains = [self._gain({**key, "detector": detector}) for detector in DETECTORS]
            return round(sum(gains) / len(gains), 4) + 0.0
        before, after = (self.value({**key, "source": source})[0] for source in ("original", "generated"))
        return round(after - before, 4) + 0.0
