"""The figure draws the table's numbers and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.evaluation.aggregation import METRICS
from variad.report.gains import draw_gains, gain_marks, ordered_places, ordered_sets

from .synthetic_study import summary_frame


def test_marks_are_the_tables_gains_of_auroc() -> None:
    summary = summary_frame()
    wanted = summary[(summary["metric"] == "image_auroc") & (summary["training_set"] != "original")]
    found = {
        (m.scenario, m.place, m.training_set): (m.gain, m.gain_low, m.gain_high)
        for m in gain_marks(summary).itertuples()
    }
    expected = {
        (row.scenario, f"elpv\n{row.category}", row.training_set): (row.gain, row.gain_low, row.gain_high)
        for row in wanted.itertuples()
    }
    assert found == expected
    assert len(found) == 18


def test_positions_follow_categories_then_training_sets() -> None:
    heights = {
        (m.place, m.training_set): m.y for m in gain_marks(summary_frame()).itertuples() if m.scenario == "one_shot"
    }
    assert [pair for pair, _ in sorted(heights.items(), key=lambda item: item[1])] == [
        (f"elpv\n{category}", training_set)
        for category in ("mono", "poly", "average")
        for training_set in ("generated", "generated_tuned", "duplicated")
    ]
    assert heights["elpv\npoly", "generated_tuned"] == 1.0


def test_averages_come_last_in_their_data_set() -> None:
    rows = pd.DataFrame(
        [("b", "average"), ("b", "x"), ("a", "y"), ("a", "average_object"), ("a", "average")],
        columns=["dataset", "category"],
    )
    assert ordered_places(rows) == ["b\nx", "b\naverage", "a\ny", "a\naverage of object", "a\naverage"]


def test_the_method_comes_first_in_the_legend() -> None:
    names = ["augmented_noise", "duplicated", "generated_tuned", "generated"]
    assert ordered_sets(names) == ["generated", "generated_tuned", "duplicated", "augmented_noise"]


def test_drawn_markers_and_bars_stand_at_the_marks(tmp_path: Path) -> None:
    marks = gain_marks(summary_frame())
    figure = draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", summary_frame())
    axis = next(axis for axis in figure.axes if axis.get_title() == "One-shot")
    one_shot = marks[marks["scenario"] == "one_shot"]
    expected = sorted(one_shot[["gain", "y", "gain_low", "gain_high"]].itertuples(index=False, name=None))
    points = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if len(line.get_xdata()) == 1)
    bars = sorted((*line.get_xdata(), line.get_ydata()[0]) for line in axis.lines if len(line.get_xdata()) == 2)
    assert points == [(gain, y) for gain, y, _, _ in expected]
    assert [bar for bar in bars if bar[:2] != (0, 0)] == sorted((low, high, y) for _, y, low, high in expected)
    assert "percentage points" in axis.get_xlabel()
    assert axis.get_ylim() == (2.5, -0.5)


def test_a_panel_closes_up_categories_without_its_metric(tmp_path: Path) -> None:
    summary = pd.concat([summary_frame(("elpv",)), summary_frame(("textures",)).assign(metric="pixel_auroc")])
    figure = draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", summary)
    labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes[::2]]
    assert labels == [[f"{name}\n{c}" for c in ("mono", "poly", "average")] for name in ("elpv", "textures")]
    lower = [line.get_ydata()[0] for line in figure.axes[2].lines if len(line.get_xdata()) == 1]
    assert min(lower) == pytest.approx(-0.25, abs=0.01)


def with_others() -> pd.DataFrame:
    """A study whose first detector sees all scenarios, and two more that see one."""
    many = summary_frame()
    alone = many[many["scenario"] == "one_shot"]
    others = [alone.assign(detector=name, metric=m) for name in ("cflow", "efficientad") for m in METRICS]
    summary = pd.concat([many, *others], ignore_index=True)
    # far from the first panel's
    summary.loc[summary["scenario"] != "one_shot", ["gain", "gain_low", "gain_high"]] -= 30
    return summary


@pytest.mark.parametrize("others", [False, True])
def test_no_panel_is_empty_and_no_bar_leaves_its_panel(tmp_path: Path, others: bool) -> None:
    figure = draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", with_others(), others)
    assert all(axis.get_visible() for axis in figure.axes)
    for axis in figure.axes:
        bars = [line.get_xdata() for line in axis.lines if len(line.get_xdata()) == 2]
        low, high = axis.get_xlim()
        assert len(bars) > 1 and all(low <= min(ends) and max(ends) <= high for ends in bars)
    with Image.open(tmp_path / "gains.png") as picture:
        assert picture.width > picture.height


def test_the_first_detector_stands_alone_and_the_others_by_name(tmp_path: Path) -> None:
    targets = tmp_path / "gains.png", tmp_path / "gains.svg"
    alone = draw_gains(*targets, summary_frame())
    pixels = targets[0].read_bytes()
    first, others = draw_gains(*targets, with_others()), draw_gains(*targets, with_others(), others=True)
    assert [axis.get_title() for axis in first.axes] == [axis.get_title() for axis in alone.axes]
    assert draw_gains(*targets, summary_frame()) and targets[0].read_bytes() == pixels
    assert [axis.get_title() for axis in others.axes] == ["Image AUROC, one-shot", "Pixel AUROC, one-shot"]
    bands = [label.get_text() for label in others.axes[0].get_yticklabels()]
    assert bands[:2] == ["cflow\nelpv mono", "cflow\nelpv poly"]
    assert [name.split("\n")[0] for name in bands] == ["cflow"] * 3 + ["efficientad"] * 3
    assert str(others._suptitle.get_text()).startswith("other detectors: ")


def test_a_training_set_looks_the_same_in_both_figures(tmp_path: Path) -> None:
    summary = with_others()
    summary = summary[(summary["detector"] == "patchcore") | (summary["training_set"] != "generated_tuned")]
    figures = [draw_gains(tmp_path / "g.png", tmp_path / "g.svg", summary, others) for others in (False, True)]
    handles = [{one.get_label(): one.get_color() for one in figure.legends[0].legend_handles} for figure in figures]
    assert set(handles[0]) == {"generated", "generated_tuned", "duplicated"}
    assert handles[1] == {name: handles[0][name] for name in ("generated", "duplicated")}


def test_files_are_the_same_for_the_same_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_gains(tmp_path / f"{name}.png", tmp_path / f"{name}.svg", summary_frame())
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_missing_intervals_and_no_gains_are_drawn(tmp_path: Path) -> None:
    summary = summary_frame().assign(gain_low=np.nan, gain_high=np.nan)
    axis = draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", summary).axes[0]
    assert sorted({len(line.get_xdata()) for line in axis.lines}) == [1, 2]
    assert sum(len(line.get_xdata()) == 2 for line in axis.lines) == 1  # the zero line alone
    alone = summary_frame()[lambda frame: frame["training_set"] == "original"]
    draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", alone)
    assert gain_marks(alone).empty


def test_many_training_sets_have_a_mark_each_and_a_legend_that_fits(tmp_path: Path) -> None:
    rows = summary_frame()
    names = [f"unlabelled_with_a_long_name_{number}" for number in range(12)]
    summary = pd.concat(
        [rows, *(rows[rows["training_set"] == "duplicated"].assign(training_set=name) for name in names)]
    )
    figure = draw_gains(tmp_path / "gains.png", tmp_path / "gains.svg", summary)
    (legend,) = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == ordered_sets(set(summary["training_set"]) - {"original"})
    marks = [(line.get_color(), line.get_marker()) for line in legend.get_lines()]
    assert len(set(marks)) == len(marks) == 15
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
