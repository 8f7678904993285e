"""Tables 5 to 15: each number of the document beside ours, with their difference and the notes on it.

A table is a CSV, a row a number, and a page that is arranged as the document arranges it: under each of its rows what
was measured, what was published, and the difference.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from variad.core.tables import read_table, write_table
from variad.evaluation.aggregation import SCENARIOS, published_detector
from variad.paper.forms import MARKDOWN, VALUES, Page, Style, letters_of, write_pages

KEY = ("dataset", "detector", "scenario", "source", "category", "metric")  # of a number, with our names
GAIN_KEY = ("detector", "scenario", "metric")
NONE = (float("nan"), float("nan"))
TOLERANCE = 0.001  # percent; values of a summary are rounded to 0.0001
FILES = {"auroc": "published_auroc", "table_5_gains": "published_gains", "footnotes": "published_footnotes"}
# how the document arranges its tables: blocks, columns and their titles
NAMES = {"mvtec_ad": "MVTec AD", "btad": "BTAD", "mvtec_loco": "MVTec LOCO AD"}
DETECTORS = {name: name.capitalize().replace("_", "-") for name in ("patchcore", "cflow", "reverse_distillation")}
DETECTORS |= {"efficientad": "Efficient-AD"}
_OBJECTS = "bottle cable capsule hazelnut metal_nut pill screw toothbrush transistor zipper"
OBJECTS = {name: name.capitalize().replace("_", "-") for name in _OBJECTS.split()}
TEXTURES = {name: name.capitalize() for name in ("carpet", "grid", "leather", "tile", "wood")}
BTAD = {"01": "Class-1", "02": "Class-2", "03": "Class-3"}
_LOCO = "breakfast_box juice_bottle pushpins screw_bag splicing_connectors"
LOCO = {name: f"Class-{number}" for number, name in enumerate(_LOCO.split(), start=1)}
# the categories that an average of a data set is over
MEMBERS = {
    ("mvtec_ad", "average"): (*OBJECTS, *TEXTURES),
    ("mvtec_ad", "average_object"): tuple(OBJECTS),
    ("mvtec_ad", "average_texture"): tuple(TEXTURES),
    ("btad", "average"): tuple(BTAD),
    ("mvtec_loco", "average"): tuple(LOCO),
}
ROWS = {"generated": "Ours", "gain": "Gain(+%)"}  # the document's titles of the second and third row of a block
LEGEND = (
    "Percent; mean (± standard deviation over runs). The rows are the document's: the baseline (the shots alone, our "
    "training set `original`), its method `Ours` (our training set `generated`), and the gain in percentage points. "
    "Under each row: *measured* is what this study found, *published* what the document prints, *difference* the "
    "first less the second. “–”: not part of this study, or an average over categories of which it lacks some."
)
LATEX_LEGEND = "Under each of its rows what was measured, what was published, and the difference in percentage points"


@dataclass(frozen=True)
class PaperTable:
    """One table: a block of rows (a baseline, the document's method, the gain) under common columns.

    Attributes:
        title: what it shows, in our words.
        fixed: the part of a number's key that the whole table shares: dataset, and detector or category.
        blocks: title of the baseline's row in each block, by what tells blocks apart, the detector or the scenario.
        columns: title of each column by what tells columns apart, the scenario or the category.
        metrics: that a cell holds, one after another.
    """

    number: int
    title: str
    fixed: dict[str, str]
    blocks: dict[str, str]
    columns: dict[str, str]
    metrics: tuple[str, ...] = ("image_auroc",)
    block_key: str = "scenario"
    column_key: str = "category"

    def keys(self, block: str, column: str) -> list[dict[str, str]]:
        """dataset, detector, scenario, category and metric of the numbers in one cell."""
        here = {**self.fixed, self.block_key: block, self.column_key: column}
        return [{**here, "metric": metric} for metric in self.metrics]


def _by_category(
    number: int, dataset: str, detector: str, kind: str, titles: dict[str, str], average: str = "average"
) -> PaperTable:
    title = f"{NAMES[dataset]}, {DETECTORS[detector]}, {kind}: image AUROC"
    fixed = {"dataset": dataset, "detector": detector}
    return PaperTable(number, title, fixed, SCENARIOS, {**titles, average: "Avg"})


def _tables() -> Iterator[PaperTable]:
    title = "MVTec AD, all detectors, mean of all categories: image AUROC / pixel AUROC"
    fixed, metrics = {"dataset": "mvtec_ad", "category": "average"}, ("image_auroc", "pixel_auroc")
    yield PaperTable(5, title, fixed, DETECTORS, SCENARIOS, metrics, "detector", "scenario")
    for index, detector in enumerate(DETECTORS):
        yield _by_category(6 + 2 * index, "mvtec_ad", detector, "objects", OBJECTS, "average_object")
        yield _by_category(7 + 2 * index, "mvtec_ad", detector, "textures", TEXTURES, "average_texture")
    yield _by_category(14, "btad", "patchcore", "all categories", BTAD)
    yield _by_category(15, "mvtec_loco", "patchcore", "all categories", LOCO)


TABLES = {table.number: table for table in _tables()}


Number = Mapping[str, Any]  # of a table, see ``compare``
Values = dict[tuple[str, ...], tuple[float, float]]  # mean and standard deviation by the values of KEY


class Facts:
    """What the document prints and what is odd about it: the tables of ``resources/published``.

    Attributes:
        auroc, footnotes: two of them as they are, schemas ``published_auroc`` and ``published_footnotes``.

    Raises:
        UserError: a table is missing or does not follow its schema.
    """

    def __init__(self, folder: str | Path) -> None:
        tables = [read_table(Path(folder, f"{name}.csv"), schema) for name, schema in FILES.items()]
        self.auroc, gains, self.footnotes = tables
        self._values = _by_key(self.auroc, "mean_percent", "std_percent")
        self._gains = gains.set_index(list(GAIN_KEY))["gain_percent"].astype(float).to_dict()
        self._notes = {place: tuple(rows["note"]) for place, rows in self.footnotes.groupby(list(KEY))}

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


def write_comparison(
    number: int, measured: Measured, facts: Facts, caption: str, paths: Mapping[str, str | Path]
) -> list[Number]:
    """Write table ``number``, and return its numbers.

    Args:
        caption: says on what scale the study ran.
        paths: of the forms ``csv`` (schema ``published_comparison``), ``md`` and ``tex``.
    """
    table = TABLES[number]
    numbers = compare(table, measured, facts)
    write_table(paths["csv"], comparison_table(numbers), "published_comparison")
    write_pages(paths, lambda style: comparison_page(table, numbers, caption, style), f"published-{number}")
    return numbers


def told(numbers: Sequence[Number]) -> str:
    """How the numbers of categories that a study has compare with the published ones: a line a detector and row."""
    both = [
        number
        for number in numbers
        if number["metric"] == "image_auroc"
        and not str(number["category"]).startswith("average")
        and not math.isnan(number["difference"])
    ]
    lines = []
    for key in dict.fromkeys((one["dataset"], one["detector"], one["scenario"], one["source"]) for one in both):
        found = [one for one in both if (one["dataset"], one["detector"], one["scenario"], one["source"]) == key]
        name, apart = f"{' '.join(key[:3])}, {key[3]}", [one["difference"] for one in found]
        if len(found) == 1:
            one = found[0]
            values = f"measured {one['ours_mean']:.1f}, published {one['published_mean']:.1f}, {apart[0]:+.1f}"
            lines.append(f"- {name}, {one['category']}: {values}")
        else:
            mean = f"{sum(apart) / len(apart):+.1f} on average"
            lines.append(f"- {name}, {len(found)} categories: {mean}, from {min(apart):+.1f} to {max(apart):+.1f}")
    head = "Image AUROC beside the first document's, percent (`gain`: of generated over original)"
    return "\n".join([f"{head}:", *lines] if lines else [f"{head}: no number of this study is in its tables."]) + "\n"


def compare(table: PaperTable, measured: Measured, facts: Facts) -> list[Number]:
    """The numbers of a table, row by row: percent, gains in percentage points, NaN where there is none.

    Returns:
        By the columns of schema ``published_comparison``, rows and columns titled as the document prints them; and
        ``block``, the number of the block of rows, and ``notes``, of which ``footnote`` is made.
    """
    numbers: list[Number] = []
    for block, row, column, key in _places(table):
        (ours, ours_std), (published, published_std), notes = measured.value(key), facts.printed(key), facts.notes(key)
        about = {"block": block, "notes": notes, "table": table.number, "row": row, "column": column}
        values = {"ours_mean": ours, "ours_std": ours_std, "published_mean": published, "published_std": published_std}
        difference = round(ours - published, 4) + 0.0
        numbers.append({**about, **key, **values, "difference": difference, "footnote": " ".join(notes)})
    return numbers


def _places(table: PaperTable) -> Iterator[tuple[int, str, str, dict[str, str]]]:
    """Number of the block, titles of row and column, and key of every number, in reading order."""
    for index, (block, title) in enumerate(table.blocks.items()):
        for source, row in {"original": title, **ROWS}.items():
            for column, heading in table.columns.items():
                for key in table.keys(block, column):
                    yield index, row, heading, {**key, "source": source}
    if table.block_key == "detector":  # the mean gain of all detectors, below them
        for column, heading in table.columns.items():
            for key in table.keys("average", column):
                yield len(table.blocks), "Average", heading, {**key, "source": "gain"}


def comparison_table(numbers: Sequence[Number]) -> pd.DataFrame:
    """Schema ``published_comparison``, one row a number."""
    return pd.DataFrame(numbers).drop(columns=["block", "notes"])


def comparison_page(table: PaperTable, numbers: Sequence[Number], caption: str, style: Style) -> Page:
    """The page of one table; ``caption`` says on what scale the study ran."""
    letters = letters_of(note for number in numbers for note in number["notes"])
    rows: list[list[str]] = []
    spaces: dict[int, str] = {}
    for _, block in groupby(numbers, key=lambda number: number["block"]):
        for index, (_, row) in enumerate(groupby(block, key=lambda number: number["source"])):
            spaces[len(rows)] = r"\addlinespace" if index else r"\midrule" if rows else ""
            rows += _lines(list(row), letters, style)
    title = f"Table {table.number}: {table.title}"
    if style is not MARKDOWN:
        title = f"Table {table.number} of the first document: {table.title} in percent. {LATEX_LEGEND}"
    heads = ["", "", *map(style.text, table.columns.values())]
    return Page(title, caption, LEGEND, heads, rows, 2, [(letter, text) for text, letter in letters.items()], spaces)


def _lines(row: Sequence[Number], letters: Mapping[str, str], style: Style) -> Iterator[list[str]]:
    signed = row[0]["source"] == "gain"
    columns = [
        [(number, ",".join(letters[note] for note in number["notes"])) for number in cell]
        for _, cell in groupby(row, key=lambda number: number["column"])
    ]
    for value in VALUES:
        title = ""
        cells = [
            " / ".join(style.value(number, value, marks, signed=signed) for number, marks in cell) for cell in columns
        ]
        if value == "measured":
            title = style.bold.format(style.text(row[0]["row"]))
            cells = [cell if cell == MARKDOWN.empty else style.bold.format(cell) for cell in cells]
        yield [title, value, *cells]
