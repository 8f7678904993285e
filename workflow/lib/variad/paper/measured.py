"""Our numbers for the cells of the document's tables, looked up in a summary."""

from collections.abc import Mapping

import pandas as pd

from variad.paper.arrangement import DETECTORS, MEMBERS
from variad.paper.facts import KEY, NONE

_TOLERANCE = 0.001  # percent; values of a summary are rounded to 0.0001


class Measured:
    """Means and standard deviations of a study by the keys of the document's numbers.

    Args:
        summary: schema ``summary``; the document's baseline is our ``original``, its method our ``generated``.
    """

    def __init__(self, summary: pd.DataFrame) -> None:
        rows = summary.rename(columns={"training_set": "source"}).to_dict("records")
        self._values = {tuple(str(row[name]) for name in KEY): (float(row["mean"]), float(row["std"])) for row in rows}

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
        return round(mean, 4), found[1] if abs(mean - found[0]) < _TOLERANCE else float("nan")

    def _gain(self, key: Mapping[str, str]) -> float:
        if key["detector"] == "average":
            gains = [self._gain({**key, "detector": detector}) for detector in DETECTORS]
            return round(sum(gains) / len(gains), 4) + 0.0
        before, after = (self.value({**key, "source": source})[0] for source in ("original", "generated"))
        return round(after - before, 4) + 0.0
