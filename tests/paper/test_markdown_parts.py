"""Pages and tables in Markdown."""

from tests.markdown_rows import rows
from variad.core.tables import markdown_notes, markdown_page, markdown_table


def test_columns_line_up_and_numbers_are_set_right():
    assert markdown_table(["", "AUROC"], [["one", "+1.0"], ["`a|b`", "−12.5"]], left=1).splitlines() == [
        "|        |   AUROC |",
        "|:-------|--------:|",
        "| one    |    +1.0 |",
        "| `a\\|b` |   −12.5 |",
    ]


def test_cells_stay_text():
    cells = ["1e3", "1_000", "007", "nan", "", "0.10", "True", "a\\b", "<b>", "–", "a\\|b"]
    assert rows(markdown_table(cells, [cells], left=4))[::2] == [[*cells[:-1], "a\\|b"]] * 2


def test_a_table_without_rows():
    assert rows(markdown_table(["a", "b"], [], left=1))[0] == ["a", "b"]


def test_a_page_leaves_out_what_is_empty():
    assert markdown_page("Title", "a\nb", "", "Words.") == "# Title\n\n> a\n> b\n\nWords.\n"
    assert markdown_page("Title", "", "Words.", markdown_notes([])) == "# Title\n\nWords.\n"
    assert markdown_notes([("a", "One."), ("b", "Two.")]) == "- <sup>a</sup> One.\n- <sup>b</sup> Two."
