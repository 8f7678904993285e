"""What is known to be inconsistent in the document's tables 5 to 15, as notes on the numbers concerned.

Every note is worked out from the published values, so that none can outlive a correction of them.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from variad.paper.arrangement import DETECTORS, MEMBERS, SCENARIOS, TABLES, PaperTable
from variad.paper.facts import KEY, Facts

Note = tuple[Mapping[str, str], str]

CHANCE = 50.0  # percent
_NEAR_CHANCE = 1.0
_ROUNDING = 0.1001  # a printed mean of printed values is off by no more than this
_ROUNDING_OF_GAIN = 0.2002


def footnotes(facts: Facts) -> dict[tuple[str, ...], list[str]]:
    """Notes on each number by the values of ``facts.KEY``."""
    rules: list[Callable[[Facts], Iterator[Note]]] = [
        other_tables,
        printed_gains,
        baselines_at_chance,
        single_run,
        table_18,
    ]
    found: dict[tuple[str, ...], list[str]] = {}
    for rule in rules:
        for key, text in rule(facts):
            found.setdefault(tuple(key[name] for name in KEY), []).append(text)
    return found


def other_tables(facts: Facts) -> Iterator[Note]:
    """Table 5 against the mean of the fifteen categories in tables 6 to 13."""
    for number, detector in zip(range(6, 14, 2), DETECTORS, strict=True):
        for scenario in SCENARIOS:
            for source in ("original", "generated", "gain"):
                key = _mvtec(detector, scenario, source)
                mean = _mean_of_categories(facts, key)
                printed = facts.printed(key)[0]
                if abs(printed - mean) > (_ROUNDING_OF_GAIN if source == "gain" else _ROUNDING):
                    value = f"{mean:+.2f}" if source == "gain" else f"{mean:.2f}"
                    text = f"Tables {number} and {number + 1} give {value} as the mean of their 15 categories."
                    yield key, text + _same_number(facts, key)


def printed_gains(facts: Facts) -> Iterator[Note]:
    """Gains of table 5 that are not the difference of the values above them."""
    for scenario in SCENARIOS:
        for metric in ("image_auroc", "pixel_auroc"):
            keys = [_mvtec(detector, scenario, "gain", metric) for detector in DETECTORS]
            gains = [_difference(facts, key) for key in keys]
            for key, gain in zip(keys, gains, strict=True):
                if abs(facts.printed(key)[0] - gain) > 0.0501:
                    yield key, f"The two values above differ by {gain:+.1f}."
            average = _mvtec("average", scenario, "gain", metric)
            if abs(facts.printed(average)[0] - np.mean(gains)) > 0.0501:
                yield average, f"The values above give a mean gain of {_half_up(float(np.mean(gains))):+.1f}."


def baselines_at_chance(facts: Facts) -> Iterator[Note]:
    """Averages of baselines that do not tell anomalies from normal images or pixels, and the gains over them."""
    for table in TABLES.values():
        for key in _averages(table):
            if facts.printed({**key, "source": "original"})[0] <= CHANCE + _NEAR_CHANCE:
                yield {**key, "source": "original"}, "No better than chance (50)."
                yield {**key, "source": "gain"}, "Over a baseline that is no better than chance (50)."


def single_run(facts: Facts) -> Iterator[Note]:
    """The PatchCore baseline with all shots, if every one of its values is that of a single run published elsewhere."""
    names = ("dataset", "detector", "category", "metric")
    rows = facts.single_run[list(names)].astype(str).to_numpy().tolist()
    keys = [{**dict(zip(names, row, strict=True)), "scenario": "full_shot", "source": "original"} for row in rows]
    if [facts.printed(key)[0] for key in keys] == facts.single_run["mean_percent"].tolist():
        for key in keys:
            yield (
                key,
                "Equals anomalib's published value of a single run (ResNet-18, seed 42), as all 15 categories do.",
            )


def table_18(facts: Facts) -> Iterator[Note]:
    """PatchCore, one shot, as table 18 prints it again."""
    rows = facts.ablations[facts.ablations["table"] == 18].to_dict("records")
    sources = {"baseline": "original", "generated": "generated"}
    for row in rows:
        if row["component"] in sources:
            category = str(row["what"]).split("_")[0]
            key = {**_mvtec("patchcore", "one_shot", sources[str(row["component"])]), "category": category}
            if abs(facts.printed(key)[0] - float(row["value"])) > 0.0501:
                yield key, f"Table 18 gives {row['value']}."


def _mvtec(detector: str, scenario: str, source: str, metric: str = "image_auroc") -> dict[str, str]:
    values = ("mvtec_ad", detector, scenario, source, "average", metric)
    return dict(zip(KEY, values, strict=True))


def _difference(facts: Facts, key: Mapping[str, str]) -> float:
    before, after = (facts.printed({**key, "source": source})[0] for source in ("original", "generated"))
    return after - before


def _mean_of_categories(facts: Facts, key: Mapping[str, str]) -> float:
    keys = [{**key, "category": category} for category in MEMBERS["mvtec_ad", "average"]]
    return float(np.mean([facts.printed(one)[0] for one in keys]))


def _same_number(facts: Facts, key: Mapping[str, str]) -> str:
    """Says where table 5 prints a wrong value of the method once more, as the baseline of a neighbouring scenario."""
    if key["source"] == "generated":
        for scenario, title in SCENARIOS.items():
            if facts.printed({**key, "source": "original", "scenario": scenario})[0] == facts.printed(key)[0]:
                return f" The same number stands as the {title.lower()} baseline."
    return ""


def _averages(table: PaperTable) -> Iterator[dict[str, str]]:
    for block in table.blocks:
        for column in table.columns:
            yield from (key for key in table.keys(block, column) if key["category"].startswith("average"))


def _half_up(value: float) -> float:
    return float(np.floor(value * 10 + 0.5) / 10)
