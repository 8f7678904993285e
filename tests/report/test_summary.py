"""The readable table."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.markdown_rows import rows
from variad.core.checksums import write_checksums
from variad.core.tables import table_schema, write_table
from variad.report import summary

LIBRARY = Path(__file__).parents[2] / "workflow" / "lib"
NOTHING = float("nan")


def row(training_set, mean, std, gains=(NOTHING,) * 3, published=NOTHING, metric="image_auroc", category="mono"):
    key = ["elpv", category, "patchcore", "one_shot", training_set, metric]
    columns = table_schema("summary")["properties"]
    return dict(zip(columns, [*key, mean, std, 5, *gains, published], strict=True))


FRAME = pd.DataFrame(
    [
        row("original", 86.54, 1.84, published=76.9),
        row("generated", 88.0, 1.0, (1.46, -0.25, 3.14), 83.9),
        row("original", 70.0, NOTHING, category="po|ly"),
        row("original", 90.0, 0.0, metric="aupro"),
    ]
)


def test_cells():
    assert summary.cell_text(FRAME.iloc[0]) == "86.5 ± 1.8 (published 76.9)"
    assert summary.cell_text(FRAME.iloc[1]) == "88.0 ± 1.0 (+1.5 [-0.2, +3.1]; published 83.9)"
    assert summary.cell_text(FRAME.iloc[2]) == "70.0"
    assert summary.cell_text({**FRAME.iloc[1], "gain_low": NOTHING, "published_mean": NOTHING}) == "88.0 ± 1.0 (+1.5)"


def test_wide_table_has_a_column_per_training_set():
    table = summary.wide_table(FRAME, "image_auroc")
    assert list(table.columns) == ["dataset", "category", "detector", "scenario", "original", "generated"]
    assert table["category"].tolist() == ["mono", "po|ly"]
    assert table["generated"].tolist() == ["88.0 ± 1.0 (+1.5 [-0.2, +3.1]; published 83.9)", ""]


def test_markdown():
    page = summary.summary_page(FRAME, "Scaled down:\n8 iterations.")
    lines = page.splitlines()
    assert "> Scaled down:" in lines
    assert "> 8 iterations." in lines
    assert "po\\|ly" in page
    assert ["elpv", "po|ly", "patchcore", "one_shot", "70.0", ""] in rows(page)
    assert "## Image AUROC" in lines
    assert "## Pixel AUROC" not in lines


def test_published_values_are_spoken_of_where_there_are_some():
    for write in (summary.summary_page, summary.to_text):
        assert "the first document's, not ours" in write(FRAME, "caption")
        assert "the first document's" not in write(FRAME.assign(published_mean=NOTHING), "caption")


def test_text_folds_to_the_width():
    wide = summary.to_text(FRAME, "caption", width=200)
    assert max(map(len, wide.split("Image AUROC")[1].splitlines())) <= 200
    assert wide.count("mono") == 1
    narrow = summary.to_text(FRAME, "caption", width=90).split("Image AUROC")[1]
    assert narrow.count("mono") == 2  # original in one block, generated in the next
    assert max(map(len, narrow.splitlines())) <= 90
    for value in ("86.5 ± 1.8 (published 76.9)", "88.0 ± 1.0 (+1.5 [-0.2, +3.1]; published 83.9)"):
        assert value in narrow


def test_columns_line_up():
    lines = [
        line for line in summary.to_text(FRAME, "", width=200).splitlines() if line.startswith(("dataset", "elpv"))
    ]
    assert len({line.find(word) for line, word in zip(lines, ("original", "86.5", "70.0"), strict=True)}) == 1


def test_the_command_prints_table_and_caption(tmp_path):
    path = tmp_path / "summary.csv"
    write_table(path, FRAME, "summary")
    summary.write_markdown(tmp_path / "summary.md", FRAME, "Eight iterations instead of twenty.", {})
    done = subprocess.run(
        [sys.executable, "-m", "variad.report.summary", str(path)],
        cwd=LIBRARY,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env={"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.startswith("Eight iterations instead of twenty.\n")
    assert done.stdout == summary.to_text(FRAME, "Eight iterations instead of twenty.", width=200, everything=False)
    assert "helped most" in done.stdout and "helped most" not in summary.short_text(path, everything=True)


def compared(training_set, scenario, mean, gain, low, high, detector="patchcore", category="mono"):
    gains = gain, low, high
    return row(training_set, mean, 1.0, gains, category=category) | {"scenario": scenario, "detector": detector}


def test_what_helped_and_how_certain_that_is():
    frame = pd.DataFrame(
        [
            row("original", 80.0, 1.0),
            compared("unlabelled", "one_shot", 90.0, 10.0, 4.0, 15.0),
            compared("unlabelled", "few_shot", 91.0, 1.0, -1.0, 3.0),
            compared("generated", "one_shot", 79.0, -1.0, -3.0, 1.0),
            compared("generated", "few_shot", 92.0, 2.0, 0.0, 4.0),
            compared("generated", "one_shot", 50.0, 40.0, 30.0, 50.0, detector="cflow"),  # not the first detector
            compared("generated", "one_shot", 50.0, 40.0, 30.0, 50.0, category="average"),  # not counted twice
        ]
    )
    assert summary.answer(frame) == [
        "`unlabelled` helped most: +5.5 points of image AUROC on average with patchcore, at most +10.0 [+4.0, +15.0] "
        "(elpv/mono, one_shot: 80.0 to 90.0).",
        "Certain, as the 95 % interval lies above 0: `unlabelled` in 1 of 2 categories and scenarios; "
        "`generated` in none.",
    ]
    worse = frame[(frame["training_set"] != "unlabelled") & (frame["category"] == "mono")].head(2)
    assert summary.answer(worse) == [
        "Nothing helped on average; best was `generated`: -1.0 points of image AUROC on average with patchcore, at "
        "most -1.0 [-3.0, +1.0] (elpv/mono, one_shot: 80.0 to 79.0).",
        "Certain, as the 95 % interval lies above 0: nothing.",
    ]
    assert summary.answer(frame.head(1)) == ["There is nothing to compare: the study has one training set."]


def test_the_command_on_a_missing_table(tmp_path, capsys):
    assert summary.main([str(tmp_path / "none.csv")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none.csv'}: expected a table 'summary'")
    assert summary.main([]) == 2


def test_the_command_on_a_damaged_table(tmp_path, capsys):
    """``make demo`` prints the table also where there was nothing to be done."""
    table = tmp_path / "summary.csv"
    write_table(table, FRAME, "summary")
    write_checksums(table)
    assert summary.main([str(table)]) == 0
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    capsys.readouterr()
    assert summary.main([str(table)]) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.startswith(f"error: {table}: expected sha256 ")
    assert table.exists()  # to print is not to remove


def test_an_empty_summary_prints():
    assert summary.to_text(FRAME.iloc[:0], "caption", width=100).startswith("caption\n\nPercent")


def test_caption_is_read_back(tmp_path):
    summary.write_markdown(
        tmp_path / "summary.md", FRAME, "one\ntwo", {"elpv/mono": ["3 training images", "no image AUROC"]}
    )
    page = (tmp_path / "summary.md").read_text()
    assert "- elpv/mono: 3 training images\n- elpv/mono: no image AUROC\n" in page
    assert summary.read_caption(tmp_path / "summary.md") == "one\ntwo"
    assert summary.read_caption(tmp_path / "other.md") == ""


@pytest.mark.parametrize("width", [40, 120])
def test_a_column_wider_than_the_terminal_still_prints(width):
    assert "88.0 ± 1.0" in summary.to_text(FRAME, "", width=width)
