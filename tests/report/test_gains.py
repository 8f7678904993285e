"""The figure draws the table's numbers and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
