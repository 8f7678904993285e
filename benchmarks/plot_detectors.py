"""The figure of ``detectors.csv``: time, memory and AUROC of both sides, for the README."""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from detector_ratios import Row, difference, pairs, read_rows, speed_up  # noqa: E402, scripts of this folder

NAMES = {
    "patchcore": "PatchCore",
    "cflow": "CFlow",
    "reverse_distillation": "Reverse\nDistillation",
    "efficientad": "EfficientAD-S",
}
SIDES = {"variad": ("#0072B2", "Variad"), "anomalib": ("#E69F00", "anomalib 2.7.0")}


def main() -> None:
    """Draw the table of ``make bench``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, default=HERE / "detectors.csv")
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "images" / "detectors.png")
    arguments = parser.parse_args()
    draw(read_rows(arguments.table), arguments.output)


def draw(rows: list[Row], output: Path) -> None:
    """One group of bars a detector: medians over categories and seeds; AUROC as differences of pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    both = {name: found for name in NAMES if (found := pairs(rows, name))}
    figure, (time, memory, quality) = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    _bars(time, both, ("fit_s", "score_s"), "fit and score, seconds")
    time.set_yscale("log")
    time.set_yticks((1, 2, 5, 10, 20, 50, 100), minor=False)
    time.yaxis.set_major_formatter("{x:g}")
    time.yaxis.set_minor_formatter(NullFormatter())
    for place, found in enumerate(both.values()):
        slowest = _median(found, 1, ("fit_s", "score_s"))
        times = f"{speed_up(found, 'fit_s', 'score_s'):.1f}×"
        time.annotate(times, (place, slowest), (0, 3), textcoords="offset points", ha="center", fontweight="bold")
    time.set_ylim(1, 2 * max(_median(found, 1, ("fit_s", "score_s")) for found in both.values()))
    _bars(memory, both, ("fit_peak_gb",), "peak memory of fit, GB")
    memory.set_ylim(top=1.25 * memory.get_ylim()[1])
    memory.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    _differences(quality, both)
    first = rows[0]
    figure.suptitle(
        f"The same images, weights and steps; {first['threads']:.0f} thread, {first['machine']}", fontsize=10
    )
    figure.savefig(output, dpi=130)
    pyplot.close(figure)


def _median(found: list[tuple[Row, Row]], side: int, columns: tuple[str, ...]) -> float:
    return statistics.median(sum(pair[side][column] for column in columns) for pair in found)


def _bars(axes: Any, both: dict[str, list[tuple[Row, Row]]], columns: tuple[str, ...], label: str) -> None:
    for side, (colour, name) in enumerate(SIDES.values()):
        heights = [_median(found, side, columns) for found in both.values()]
        places = [place + 0.4 * side - 0.2 for place in range(len(both))]
        axes.bar(places, heights, 0.38, color=colour, label=name)
    _label(axes, both, label)


def _differences(axes: Any, both: dict[str, list[tuple[Row, Row]]]) -> None:
    """Dots are pairs, lines their means."""
    axes.axhline(0, color="#777777", linewidth=0.8)
    for shift, (metric, colour, marker) in enumerate((("image", "#0072B2", "o"), ("pixel", "#D55E00", "s"))):
        for place, found in enumerate(both.values()):
            column, at = f"{metric}_auroc", place + 0.3 * shift - 0.15
            values = [ours[column] - peer[column] for ours, peer in found if ours[column] is not None]
            mean = difference(found, column)
            if mean is None:
                continue
            label = metric if not place else None
            axes.scatter([at] * len(values), values, s=12, c=colour, marker=marker, alpha=0.5, label=label)
            axes.hlines(mean, at - 0.13, at + 0.13, color=colour, linewidth=2)
    axes.legend(frameon=False, fontsize=8)
    _label(axes, both, "AUROC, Variad less anomalib, points")


def _label(axes: Any, both: dict[str, list[tuple[Row, Row]]], label: str) -> None:
    axes.set_xticks(range(len(both)), [NAMES[name] for name in both], fontsize=8)
    axes.set_ylabel(label, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
