"""Every number of a table in reading order, with difference and notes."""

import pytest

from variad.core.tables import read_table, write_table
from variad.paper.comparison import TABLES, Measured, compare, comparison_table, told


@pytest.fixture
def written(summary, facts, tmp_path):
    def table(number, study=summary):
        frame = comparison_table(compare(TABLES[number], Measured(study), facts))
        write_table(tmp_path / "table.csv", frame, "published_comparison")
        return read_table(tmp_path / "table.csv", "published_comparison")

    return table


def part(cells, scenario, source):
    """One row of a table, by category."""
    return cells.xs(scenario, level="scenario").xs(source, level="source")


def test_rows_of_patchcore_in_table_5(written):
    """As printed: 76.9 / 90.8, 83.9 / 92.8, +7.0 / +2.0 in one shot, and so on."""
    cells = written(5)
    patchcore = cells[cells["detector"] == "patchcore"]
    assert patchcore["row"].tolist() == ["Patchcore"] * 6 + ["Ours"] * 6 + ["Gain(+%)"] * 6
    assert patchcore["column"].tolist()[:6] == ["One-shot"] * 2 + ["Few-shot"] * 2 + ["Full-shot"] * 2
    printed = [76.9, 90.8, 85.8, 93.2, 97.3, 97.6, 83.9, 92.8, 91.4, 95.1, 97.8, 97.7, 7.0, 2.0, 5.6, 1.9, 0.5, 0.1]
    assert patchcore["published_mean"].tolist() == printed
    assert len(cells) == 4 * 18 + 6
    assert cells["row"].tolist()[-6:] == ["Average"] * 6
    assert cells["published_mean"].tolist()[-6:] == [15.7, 18.6, 14.1, 16.5, 5.6, 0.2]


def test_ours_in_table_5_is_the_mean_of_the_categories(written):
    cells = written(5).set_index(["detector", "scenario", "source", "metric"])
    original = cells.loc["cflow", "one_shot", "original", "image_auroc"]
    assert original["ours_mean"] == pytest.approx(73.28, abs=1e-4)  # tables 8 and 9: 72.28, and one more
    assert original["difference"] == pytest.approx(4.28, abs=1e-4)
    assert original["footnote"] == "Tables 8 and 9 give 72.28 as the mean of their 15 categories."
    assert cells.loc["cflow", "one_shot", "gain", "image_auroc"]["difference"] == pytest.approx(
        10.6933 - 15.2, abs=1e-3
    )
    gains = [7.0067, 10.6933, 34.66, 6.2]  # of the means in tables 6 to 13
    average = cells.loc["average", "one_shot", "gain", "image_auroc"]
    assert average["ours_mean"] == pytest.approx(sum(gains) / 4, abs=2e-3)


def test_table_7_by_hand(written):
    cells = written(7).set_index(["scenario", "source", "category"])
    printed = part(cells, "one_shot", "original")["published_mean"]
    assert printed.to_dict() == {
        "carpet": 89.4,
        "grid": 47.2,
        "leather": 99.9,
        "tile": 99.3,
        "wood": 97.6,
        "average_texture": 86.7,
    }
    assert part(cells, "one_shot", "original")["published_std"].tolist()[:5] == [2.2, 0.2, 0.1, 0.2, 0.3]
    assert part(cells, "full_shot", "gain")["published_mean"].tolist() == [-0.3, -0.4, 0.0, 0.2, 0.0, -0.1]
    assert (cells["difference"].drop("average_texture", level="category").drop("gain", level="source") == 1).all()
    assert cells.loc["one_shot", "original", "average_texture"]["ours_mean"] == pytest.approx(87.68)
    assert cells.loc["one_shot", "gain", "grid"]["ours_mean"] == pytest.approx(17.7)


def test_a_study_without_a_category_has_neither_it_nor_the_average(written, summary):
    cells = written(14, summary[summary["category"] != "02"]).set_index(["scenario", "source", "category"])
    rows = part(cells, "few_shot", "generated")
    assert rows["ours_mean"].isna().tolist() == [False, True, False, True]
    assert rows["difference"].isna().tolist() == [False, True, False, True]
    assert rows["published_mean"].tolist() == [94.4, 80.7, 68.3, 81.1]


def test_a_study_of_other_data_leaves_the_published_values_alone(written, summary):
    cells = written(15, summary[summary["dataset"] == "btad"])
    assert cells["ours_mean"].isna().all()
    assert cells["published_mean"].tolist()[:6] == [59.4, 60.6, 54.1, 43.0, 62.1, 55.8]


def test_what_is_told_of_one_number_and_of_several():
    key = {"dataset": "mvtec_ad", "detector": "patchcore", "scenario": "one_shot", "metric": "image_auroc"}

    def number(source, category, ours, published):
        difference = round(ours - published, 4)
        values = {"ours_mean": ours, "published_mean": published, "difference": difference}
        return {**key, "source": source, "category": category, **values}

    nan = float("nan")
    numbers = [
        number("original", "toothbrush", 73.5, 74.7),
        number("original", "average_object", 70.0, 71.0),
        number("original", "pill", nan, 70.0),
        {**number("original", "toothbrush", 90.0, 91.0), "metric": "pixel_auroc"},
    ]
    lines = told(numbers).splitlines()
    assert lines[1:] == ["- mvtec_ad patchcore one_shot, original, toothbrush: measured 73.5, published 74.7, -1.2"]
    lines = told([*numbers, number("original", "grid", 50.0, 47.2)]).splitlines()
    assert lines[1:] == ["- mvtec_ad patchcore one_shot, original, 2 categories: +0.8 on average, from -1.2 to +2.8"]
    assert told(numbers[2:3]).endswith(": no number of this study is in its tables.\n")
