"""What hurts a pile that nobody has sorted: the figure of docs/results_real.md, and its numbers as two tables.

    python benchmarks/plot_unlabelled.py                  # after the study of config/unlabelled.yaml, from results/

Gains are points of image AUROC over the shots alone with 95 % intervals, those of the study's ``summary.csv``. A pile
whose defects are of one kind is compared with the study's usual pile on defects of this kind alone: AUROC of these and
the good test images, and the paired bootstrap that the study has, both from ``scores.csv``.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "workflow" / "lib")]

from variad.core.seeding import numpy_generator  # noqa: E402, after the path
from variad.evaluation.bootstrap import image_metric_draws, interval, resample  # noqa: E402
from variad.evaluation.pixel import anomaly_type  # noqa: E402
from variad.evaluation.ranking import auroc  # noqa: E402
from variad.generation.unlabelled import STRANGE  # noqa: E402
from variad.report.figures import COLOURS, drawn, light_grid  # noqa: E402

Study = dict[str, Any]
PRODUCTS = {"magnetic_tile": "magnetic tile", "screw": "MVTec screw", "poly": "ELPV poly"}  # and their titles
USUAL, ONE_KIND, ANOTHER = "patchcore", "patchcore_one_kind", "patchcore_another"  # detectors of the config
MIXED = "unlabelled_10"  # training set of the usual pile
PANELS = {
    "contamination": "defects in a pile of 120 (%)",
    "size": "photographs in the pile, 10 % defects",
    "mistake": "what is wrong with the pile",
}
MOST_BARS = 6  # of a product, so that all are as wide
COLUMNS = ("product", "panel", "place", "gain", "low", "high")


def main() -> None:
    """Draw the figure, and print what it shows and what was chosen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, default=HERE.parent / "config" / "unlabelled.yaml")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "images" / "unlabelled_hurts.png")
    arguments = parser.parse_args()
    study = yaml.safe_load(arguments.config.read_text("utf-8"))
    marks = marks_of(study, arguments.results)
    draw(marks, arguments.output)
    print(
        marks.round(1).replace("\n", " ", regex=True).to_string(index=False),
        choices_of(study, arguments.results).to_string(index=False),
        sep="\n\n",
    )


def marks_of(study: Study, results: Path) -> pd.DataFrame:
    """Everything that the figure shows: columns ``COLUMNS``, gains in points.

    Panels are ``contamination`` (place in percent), ``size`` (in photographs), ``mistake`` (place is what is wrong with
    the pile) and ``ceiling`` (as many good images by their labels).
    """
    summary = pd.read_csv(results / "tables" / "summary.csv")
    gains = summary[(summary["metric"] == "image_auroc") & summary["gain"].notna()]
    rows = [*_curves(study, gains), *_kinds(study, results), *_others(study, gains)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _curves(study: Study, gains: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Gains against the share of defects and the size of the pile, and the ceiling."""
    shares = {name: recipe for name, recipe in study["training_sets"].items() if name.startswith("unlabelled_")}
    sizes = {name: recipe for name, recipe in study["training_sets"].items() if name.startswith("pile_of_")}
    places = [("contamination", name, 100 * recipe["contamination"]) for name, recipe in shares.items()]
    places += sorted(
        [("size", name, recipe["size"]) for name, recipe in {MIXED: shares[MIXED], **sizes}.items()],
        key=lambda place: place[2],
    )
    places.append(("ceiling", "real", 0))
    usual = gains[gains["detector"].isin([USUAL, *(f"{USUAL}_{recipe['size']}" for recipe in sizes.values())])]
    for product in PRODUCTS:
        for panel, name, place in places:
            found = usual[(usual["category"] == product) & (usual["training_set"] == name)]
            yield from ((product, panel, place, *_gain(row)) for row in found.itertuples())


def _others(study: Study, gains: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Gains of piles that hold another product."""
    for row in gains[gains["detector"] == ANOTHER].itertuples():
        part = 100 * study["training_sets"][row.training_set]["contamination"]
        yield row.category, "mistake", f"{part:.0f} % of\nanother product", *_gain(row)


def _gain(row: Any) -> tuple[float, float, float]:
    return row.gain, row.gain_low, row.gain_high


def _kinds(study: Study, results: Path) -> Iterator[tuple[Any, ...]]:
    """Gains on defects of one kind: with the usual pile, and with one whose defects are all of this kind."""
    usual = {category: dataset for dataset, category in _places(study, USUAL)}
    for dataset, category in _places(study, ONE_KIND):
        (kind,) = study["datasets"][dataset]["pool"]["defects"]
        shown = kind.replace("_", " ")
        for place, where, detector in (
            (f"{shown}:\nmixed pile", usual[category], USUAL),
            (f"{shown}:\nno other kind", dataset, ONE_KIND),
        ):
            scores = [
                pd.read_csv(results / where / category / "one_shot" / name / detector / "scores.csv")
                for name in (MIXED, "original")
            ]
            yield category, "mistake", place, *gain_on_kind(*scores, kind, study["run"]["seed"], (where, category))


def _places(study: Study, detector: str) -> Iterator[tuple[str, str]]:
    """Data set and category of all that a detector sees."""
    for dataset in study["study"]["only"][detector]["datasets"]:
        yield from ((dataset, category) for category in study["datasets"][dataset]["categories"])


def gain_on_kind(
    scores: pd.DataFrame, before: pd.DataFrame, kind: str, seed: int, place: tuple[str, str]
) -> tuple[float, float, float]:
    """Gain in image AUROC on good images and defects of one kind, and its 95 % interval, in points.

    Args:
        scores, before: schema ``scores``, of the same runs and images, with and without the added images.
        kind: middle part of the image_ids.
        place: data set and category, which seed the draws besides ``seed``.
    """
    both = []
    for table in (scores, before):
        part = table[table["image_id"].map(anomaly_type).isin(["good", kind])]
        both.append(part.pivot(index="run", columns=["image_id", "label"], values="score").sort_index(axis=1))
    labels = both[0].columns.get_level_values("label").to_numpy()
    drawn_ = resample(labels, len(both[0]), numpy_generator(seed, "bootstrap", *place, kind))
    draws = [image_metric_draws(matrix.to_numpy(), labels, drawn_)["image_auroc"] for matrix in both]
    means = [np.mean([auroc(run, labels) for run in matrix.to_numpy()]) for matrix in both]
    return 100 * float(means[0] - means[1]), *(100 * end for end in interval(draws[0] - draws[1]))


def choices_of(study: Study, results: Path) -> pd.DataFrame:
    """What every pile's choice took, in percent of good photographs and of others, and whether the run said something.

    Labels are those that the pool has for reporting.
    """
    rows = []
    for path in sorted(results.glob("*/*/one_shot/*/chosen.csv")):
        dataset, category, _, name, _ = path.relative_to(results).parts
        if dataset not in study["datasets"] or name not in study["training_sets"]:
            continue
        chosen = pd.read_csv(path)
        manifest = pd.read_csv(results / dataset / category / "unlabelled" / "manifest.csv")
        label = chosen["image_id"].map(manifest.set_index("image_id")["label"])
        kept = [100 * chosen.loc[label == kind, "kept"].mean() for kind in (0, 1)]
        strangeness = chosen["strangeness"].median()
        rows.append((f"{dataset}/{category}", name, *np.round(kept), round(strangeness, 2), strangeness >= STRANGE))
    return pd.DataFrame(rows, columns=["place", "training_set", "good kept", "others kept", "strangeness", "noticed"])


def draw(marks: pd.DataFrame, output: Path) -> Any:
    """A column a product and a row a question; the ceiling is dashed, with its interval. Gives matplotlib's figure."""
    title = "What hurts a pile that nobody has sorted: one shot, PatchCore, 95 % intervals"
    with drawn([output], (13, 11.5), title) as figure:
        axes = figure.subplots(len(PANELS), len(PRODUCTS), sharey="col", height_ratios=(1, 1, 1.15))
        for column, (product, name) in zip(axes.T, PRODUCTS.items(), strict=True):
            own = marks[marks["product"] == product]
            for axis, panel in zip(column, PANELS, strict=True):
                _draw_panel(axis, own[own["panel"] == panel], panel, own[own["panel"] == "ceiling"])
            column[0].set_title(name, fontweight="bold")
        for axis in axes[:, 0]:
            axis.set_ylabel("gain in image AUROC (points)")
        axes[0, -1].legend(loc="lower left", frameon=False, fontsize=11)
    return figure


def _draw_panel(axis: Any, marks: pd.DataFrame, panel: str, ceiling: pd.DataFrame) -> None:
    light_grid(axis, "y")
    axis.axhline(0, color="#333333", linewidth=1, zorder=1)
    axis.set_xlabel(PANELS[panel])
    if panel == "mistake":
        _draw_bars(axis, marks)
        return
    for row in ceiling.itertuples():
        axis.axhspan(row.low, row.high, color=COLOURS["green"], alpha=0.12, linewidth=0, zorder=0)
        axis.axhline(row.gain, color=COLOURS["green"], linestyle="--", label="120 good images by their labels")
    places, gains = marks["place"], marks["gain"]
    axis.errorbar(
        places, gains, _errors(marks), color=COLOURS["blue"], marker="o", capsize=3, label="chosen from the pile"
    )
    if panel == "size":
        axis.set_xscale("log")
        axis.set_xticks(places, [f"{size:g}" if size != 160 else "" for size in places])  # beside 120
        axis.minorticks_off()


def _draw_bars(axis: Any, marks: pd.DataFrame) -> None:
    colours = [_colour(place) for place in marks["place"]]
    axis.bar(range(len(marks)), marks["gain"], 0.7, color=colours, yerr=_errors(marks), capsize=3, zorder=2)
    axis.set_xticks(range(len(marks)), marks["place"], rotation=90, fontsize=11)
    axis.set_xlim(-0.6, MOST_BARS - 0.4)


def _colour(place: str) -> str:
    return COLOURS["amber" if "another product" in place else "orange" if "no other" in place else "sky"]


def _errors(marks: pd.DataFrame) -> list[Iterable[float]]:
    return [(marks["gain"] - marks["low"]).clip(lower=0), (marks["high"] - marks["gain"]).clip(lower=0)]


if __name__ == "__main__":
    main()
