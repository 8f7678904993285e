"""Figures 4 and 5, the rank correlations, and the gains of exposure draw their tables' numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from variad.report.selection_figures import (
    draw_exposure,
    draw_scatter,
    draw_taus,
    panel_tau,
    with_places,
)

# synthetic and real AUROC of three candidates in two runs: tau 1 and 1/3
SYNTHETIC = [[0.6, 0.7, 0.8], [0.6, 0.7, 0.8]]
REAL = [[0.5, 0.6, 0.9], [0.6, 0.5, 0.9]]


@pytest.fixture
def twice(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "figure.png", tmp_path / "figure.svg"


def points(category: str = "mono", source: str = "scar") -> pd.DataFrame:
    rows = [
        ("elpv", category, run, source, f"{'lite0' if k < 2 else 'workflow'}/{k}", SYNTHETIC[run][k], REAL[run][k])
        for run in range(2)
        for k in range(3)
    ]
    names = ["dataset", "category", "run", "source", "candidate", "synthetic_auroc", "real_auroc"]
    return pd.DataFrame(rows, columns=names)


def test_tau_is_the_mean_over_runs() -> None:
    assert panel_tau(points()) == pytest.approx((1 + 1 / 3) / 2)
    assert np.isnan(panel_tau(points().assign(synthetic_auroc=1.0)))


def test_a_panel_shows_runs_means_and_the_identity_line(twice: tuple[Path, Path]) -> None:
    both = pd.concat([points(), points(source="blurred").assign(synthetic_auroc=1.0), points("poly")])
    figure = draw_scatter(*twice, both, "Detectors")
    shown = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in shown][:2] == ["scar\nτ = +0.67", "blurred\nno ranking"]
    axis = shown[0]
    identity, runs, means, other_runs, other_means = axis.lines
    assert list(identity.get_xdata()) == list(identity.get_ydata())
    assert list(runs.get_ydata()) == [0.5, 0.6, 0.6, 0.5] and list(other_runs.get_ydata()) == [0.9, 0.9]
    assert list(means.get_xdata()) == pytest.approx([0.6, 0.7]) and list(means.get_ydata()) == pytest.approx([0.55] * 2)
    assert list(other_means.get_ydata()) == pytest.approx([0.9])
    assert axis.get_ylabel() == "elpv\nmono\nreal AUROC" and axis.get_xlim() == axis.get_ylim()


def test_large_data_sets_are_one_row() -> None:
    table = pd.DataFrame({"dataset": ["cub"] * 7 + ["elpv"], "category": [*map(str, range(7)), "mono"]})
    assert with_places(table)["place"].unique().tolist() == ["cub\n7 categories", "elpv\nmono"]


def summary() -> pd.DataFrame:
    rows = [
        ("elpv", "mono", "defects", "scar", 0.5, 0.2, 0.7),
        ("elpv", "mono", "defects", "blurred", 0.1, np.nan, np.nan),
        ("elpv", "mono", "defects", "random", np.nan, np.nan, np.nan),
    ]
    names = ["dataset", "category", "benchmark", "source", "tau", "tau_low", "tau_high"]
    return pd.DataFrame(rows, columns=names).assign(half_split_tau=0.8)


def test_taus_intervals_and_the_bound_are_drawn(twice: tuple[Path, Path]) -> None:
    axis = draw_taus(*twice, summary(), "Detectors").axes[0]
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines]
    assert ([0.2, 0.7], [0, 0]) in drawn and ([0.5], [0]) in drawn and ([0.1], [1]) in drawn
    assert [0.8, 0.8] in [xs for xs, _ in drawn]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["scar", "blurred"]
    legend = [text.get_text() for text in axis.figure.legends[0].get_texts()]
    assert legend == ["τ of a source, interval of about 95 %", "half-split τ of the real AUROC"]


def test_panels_with_nothing_below_have_an_axis_of_their_own(twice: tuple[Path, Path]) -> None:
    five = pd.concat([summary().assign(category=name) for name in ("mono", "poly", "brick", "grass", "wood")])
    figure = draw_taus(*twice, five, "Detectors")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [bool(axis.get_xlabel()) for axis in shown] == [False, True, True, True, True]
    labels = [axis.xaxis.get_tick_params()["labelbottom"] for axis in shown]
    assert labels == [False, True, True, True, True]


def exposure() -> pd.DataFrame:
    rows = [
        ("none", "frozen", "support", 80.0, np.nan, np.nan, np.nan),
        ("none", "rotation", "support", 79.0, -1.0, -2.0, 0.5),
        ("scar", "classification", "support", 83.0, 3.0, 1.0, 5.0),
        ("scar", "classification", "with more", 84.0, 4.0, 2.0, 6.0),
    ]
    names = ["source", "objective", "support", "mean", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=names).assign(dataset="elpv", category="mono")


def test_gains_of_exposure_are_drawn(twice: tuple[Path, Path]) -> None:
    axis = draw_exposure(*twice, exposure()).axes[0]
    marks = sorted(float(line.get_xdata()[0]) for line in axis.lines if len(line.get_xdata()) == 1)
    assert marks == [-1.0, 3.0, 4.0] and axis.get_title() == "elpv, mono\nfrozen: 80.0 %"
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["no exposure: rotation", "scar, classification"]


def test_files_are_the_same_for_the_same_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_scatter(tmp_path / f"s{name}.png", tmp_path / f"s{name}.svg", points(), "Detectors")
        draw_taus(tmp_path / f"t{name}.png", tmp_path / f"t{name}.svg", summary(), "Detectors")
        draw_exposure(tmp_path / f"e{name}.png", tmp_path / f"e{name}.svg", exposure())
    for figure in "ste":
        for suffix in ("png", "svg"):
            one, two = (tmp_path / f"{figure}{name}.{suffix}" for name in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()


def test_nothing_to_draw_says_so(twice: tuple[Path, Path]) -> None:
    empty = points().iloc[:0]
    assert "no candidates" in draw_scatter(*twice, empty, "Prompts").texts[0].get_text()
    assert "no ranking" in draw_taus(*twice, summary().assign(tau=np.nan), "Prompts").texts[0].get_text()
