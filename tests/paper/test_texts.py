"""Markdown and LaTeX: the document's arrangement, a line each for measured, published and difference."""

import re

import pytest

from tests.markdown_rows import rows
from variad.paper.comparison import TABLES, Measured, compare, comparison_page
from variad.paper.forms import LATEX, MARKDOWN, escape, latex, markdown


@pytest.fixture
def numbers(summary, facts):
    def of(number, study=summary):
        return compare(TABLES[number], Measured(study), facts)

    return of


def test_markdown_of_table_14(numbers):
    page = markdown(comparison_page(TABLES[14], numbers(14), "A study.\nNot its size.", MARKDOWN))
    table = rows(page)
    assert table[0] == ["", "", "Class-1", "Class-2", "Class-3", "Avg"]
    assert table[2] == ["**One-shot**", "measured", "**73.2 (±0.5)**", "**74.3 (±0.5)**", "**65.6 (±0.5)**", "**71.0**"]
    assert table[3] == ["", "published", "72.2 (±7.2)", "73.3 (±1.7)", "64.6 (±1.7)", "70.0"]
    assert table[4] == ["", "difference", "+1.0", "+1.0", "+1.0", "+1.0"]
    assert [line[0] for line in table[2::3]] == ["**One-shot**", "**Ours**", "**Gain(+%)**"] + [
        f"**{title}**" for scenario in ("Few-shot", "Full-shot") for title in (scenario, "Ours", "Gain(+%)")
    ]
    assert table[-2] == ["", "published", "−0.2", "+0.6", "−1.1", "−0.3"]
    assert "> A study.\n> Not its size." in page
    assert "<sup>" not in page


def test_notes_are_lettered_by_first_mention(numbers):
    page = markdown(comparison_page(TABLES[7], numbers(7), "", MARKDOWN))
    assert rows(page)[3][3] == "47.2 (±0.2)<sup>a</sup>"
    assert rows(page)[6][3] == "64.9 (±0.2)<sup>b</sup>"
    assert rows(page)[21][2:8] == [
        f"{value}<sup>c</sup>" for value in ("97.0 (±0.5)", "94.7 (±0.4)", "100.0 (±0.0)", "99.7 (±0.1)", "99.7 (±0.1)")
    ] + ["98.2"]
    assert "- <sup>a</sup> Table 18 gives 68.6.\n- <sup>b</sup> Table 18 gives 72.2.\n- <sup>c</sup> Equals" in page


def test_two_metrics_share_a_cell_of_table_5(numbers, summary):
    page = markdown(comparison_page(TABLES[5], numbers(5, summary[summary["metric"] == "image_auroc"]), "", MARKDOWN))
    table = rows(page)
    assert table[0] == ["", "", "One-shot", "Few-shot", "Full-shot"]
    assert table[2][:3] == ["**Patchcore**", "measured", "**77.9 / –**"]
    assert table[3][2] == "76.9 / 90.8"
    assert table[4][2] == "+1.0 / –"
    assert table[-2] == ["", "published", "+15.7 / +18.6<sup>t</sup>", "+14.1 / +16.5", "+5.6 / +0.2"]
    assert len(table) == 2 + 3 * (4 * 3 + 1)


def test_nothing_measured(numbers, summary):
    table = rows(markdown(comparison_page(TABLES[15], numbers(15, summary[:0]), "", MARKDOWN)))
    assert table[2][2:] == table[4][2:] == ["–"] * 6
    assert table[3][2] == "59.4 (±0.2)"


def test_latex_of_table_14(numbers):
    text = latex(comparison_page(TABLES[14], numbers(14), "50 % of A_1 & B", LATEX), "published-14")
    assert r"in percentage points. 50 \% of A\_1 \& B}" in text
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert lines[0] == r" &  & Class-1 & Class-2 & Class-3 & Avg \\"
    assert lines[2] == r" & published & 72.2 ($\pm$7.2) & 73.3 ($\pm$1.7) & 64.6 ($\pm$1.7) & 70.0 \\"
    assert lines[7].startswith(r"\textbf{Gain(+\%)} & measured & \textbf{+20.2}")
    assert lines[-2] == r" & published & $-$0.2 & +0.6 & $-$1.1 & $-$0.3 \\"
    assert all(line.count(" & ") == 5 for line in lines)
    assert body.count(r"\midrule") == 3
    assert r"\begin{tabular}{llrrrr}" in text


def test_notes_in_latex(numbers):
    text = latex(comparison_page(TABLES[6], numbers(6), "", LATEX), "published-6")
    assert r"100.0 ($\pm$0.0)\textsuperscript{b}" in text
    assert r"\textsuperscript{a} Table 18 gives 78.9.\par" in text


def test_every_special_character_is_escaped():
    assert escape("a_b 5% & #1 {x} $y^z~\\") == (
        r"a\_b 5\% \& \#1 \{x\} \$y\textasciicircum{}z\textasciitilde{}\textbackslash{}"
    )
