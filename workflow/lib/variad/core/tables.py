"""Tables: as CSV, checked against ``workflow/schemas`` where written and where read, and as Markdown."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from tabulate import tabulate

from variad.core.errors import UserError
from variad.core.files import writing

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
_TRUTH = {"True": True, "False": False}  # as pandas writes them


@functools.cache
def table_schema(name: str) -> dict[str, Any]:
    """The schema of one row of a table, from ``workflow/schemas/{name}.schema.yaml``."""
    schema: dict[str, Any] = yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text("utf-8"))
    return schema


def write_table(path: str | Path, frame: pd.DataFrame, schema: str) -> None:
    """Check ``frame`` and write it as CSV with the schema's column order.

    Raises:
        UserError: a column is missing or unknown, or a value breaks the schema.
    """
    columns = list(table_schema(schema)["properties"])
    checked = _check(frame, schema, str(path))
    with writing(path) as temporary:
        checked[columns].to_csv(temporary, index=False, lineterminator="\n")


def read_table(path: str | Path, schema: str) -> pd.DataFrame:
    """Read a CSV written by ``write_table`` and check it again; text columns never turn into NaN.

    Raises:
        UserError: the file is missing or does not follow the schema.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a table '{schema}', found: {error}.") from error
    return _check(frame, schema, str(path))


def _check(frame: pd.DataFrame, schema: str, where: str) -> pd.DataFrame:
    properties = table_schema(schema)["properties"]
    if set(frame.columns) != set(properties):
        raise UserError(f"{where}: expected the columns {', '.join(properties)}, found {', '.join(frame.columns)}.")
    return pd.DataFrame({name: _check_column(frame[name], rule, where) for name, rule in properties.items()})


def _check_column(column: "pd.Series[Any]", rule: dict[str, Any], where: str) -> "pd.Series[Any]":
    kind = rule["type"]
    nullable = isinstance(kind, list) and "null" in kind
    if isinstance(kind, list):
        kind = next(word for word in kind if word != "null")
    typed = _convert(column, kind, nullable, where)
    present = typed.dropna() if kind != "string" else typed
    allowed = rule.get("enum")
    if allowed is not None and not present.isin(allowed).all():
        found = present[~present.isin(allowed)].iloc[0]
        raise UserError(f"{where}: column {column.name}: expected one of {allowed}, found {found!r}.")
    for bound, outside in (("minimum", present.lt), ("maximum", present.gt)):
        if bound in rule and outside(rule[bound]).any():
            found = present[outside(rule[bound])].iloc[0]
            raise UserError(f"{where}: column {column.name}: {bound} is {rule[bound]}, found {found}.")
    return typed


def _convert(column: "pd.Series[Any]", kind: str, nullable: bool, where: str) -> "pd.Series[Any]":
    if kind == "string":
        return column.fillna("").astype(str).astype(object)
    if kind == "boolean":
        known = column.map(lambda value: _TRUTH.get(str(value)))
        empty = column.isna() | (column.astype(str) == "")
        wrong = known.isna() & ~(empty if nullable else np.zeros(len(column), bool))
        if wrong.any():
            found = str(column[wrong].iloc[0])
            raise UserError(f"{where}: column {column.name}: expected True or False, found {found!r}.")
        return known.astype("boolean" if nullable else bool)
    try:
        numbers = pd.to_numeric(column.replace("", np.nan))
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: column {column.name}: expected {kind}, found: {error}.") from error
    if numbers.isna().any() and not nullable:
        raise UserError(f"{where}: column {column.name}: expected {kind}, found an empty cell.")
    if kind == "integer":
        broken = numbers[numbers % 1 != 0].dropna()
        if len(broken):
            raise UserError(f"{where}: column {column.name}: expected integer, found {broken.iloc[0]}.")
        return numbers.astype("Int64" if nullable else "int64")
    return numbers.astype("float64")


def markdown_page(title: str, caption: str, *parts: str) -> str:
    """A page: its title, the caption as a quotation, and the parts, a blank line between them; empty ones are left out.

    Args:
        caption: on what scale the study ran.
    """
    quotation = "\n".join(f"> {line}" for line in caption.splitlines())
    return "\n\n".join(part for part in (f"# {title}", quotation, *parts) if part) + "\n"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first ``left`` columns are text and whose others are numbers, set right."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in [heads, *rows]]
    sides = ["left"] * left + ["right"] * (len(heads) - left)
    return tabulate(lines[1:], lines[0], tablefmt="pipe", disable_numparse=True, colalign=sides)


def markdown_notes(notes: Iterable[tuple[str, str]]) -> str:
    """Footnotes under a table: (letter, text)."""
    return "\n".join(f"- <sup>{letter}</sup> {text}" for letter, text in notes)
