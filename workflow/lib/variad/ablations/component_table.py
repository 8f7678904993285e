"""Tables 17 and 18: image AUROC of one category with one detector, a row a component of the method."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from variad.ablations.entries import BASELINE
from variad.ablations.published import NONE, printed_component
from variad.ablations.values import DECIMALS, baseline_of, measured, percent_by_run

TITLES = {
    17: "Table 17: encoders, and strategies of augmentation before generating, image AUROC",
    18: "Table 18: strategies of augmentation against the method, image AUROC",
}
TWO_FORMS = (
    "The document applies strategies 'when generating' (A.5.2) and lists them as augmentation: both forms stand beside "
    "its one value."
)


def component_table(
    number: int, entry: Mapping[str, Any], metrics: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``ablation_table``: per row the cells of the entry, in its order.

    Args:
        number: of the document's table, 17 or 18.
        entry: of the config, ``scenario``, ``cells`` and ``training_sets`` (a list for each component).
        metrics: of all cells, schema ``metrics``.
        published: schema ``published_ablations``.
    """
    columns = {_column(place, entry["cells"]): place for place in entry["cells"]}
    rows = [("baseline", BASELINE, False)]
    for component, names in entry["training_sets"].items():
        rows += [(component, name, len(names) > 1) for name in names]
    table = [
        _row(number, {**place, "scenario": entry["scenario"]}, column, line, metrics, published)
        for line in rows
        for column, place in columns.items()
    ]
    return pd.DataFrame(table)


def _column(place: Mapping[str, str], places: Sequence[Mapping[str, str]]) -> str:
    """The category, with all that names the place where several have it."""
    alone = sum(other["category"] == place["category"] for other in places) == 1
    return place["category"] if alone else " / ".join(place[name] for name in ("dataset", "category", "detector"))


def _row(
    number: int,
    place: Mapping[str, str],
    column: str,
    line: tuple[str, str, bool],
    metrics: pd.DataFrame,
    published: pd.DataFrame,
) -> dict[str, Any]:
    component, training_set, shared = line
    cell = {**place, "training_set": training_set}
    values, baseline = (percent_by_run(metrics, key) for key in (cell, baseline_of(cell)))
    printed = printed_component(published, number, cell, component)
    ours = measured(values, None if training_set == BASELINE else baseline)
    notes = [printed.note, TWO_FORMS if shared and printed != NONE else ""]
    return {
        "table": number,
        "row": component,
        "column": column,
        **cell,
        "metric": "image_auroc",
        **ours,
        **printed.columns,
        "difference": round(ours["ours_mean"] - printed.mean, DECIMALS) + 0.0,
        "footnote": " ".join(note for note in notes if note),
    }
