"""The picture of figure 12."""

from pathlib import Path

import pandas as pd

from variad.ablations.figure_files import COLOURS, drawing_style, save

# as in the document: normal images blue, generated ones red, defective ones green; here told apart by shape as well
STYLES = {
    "train_normal": ("real normal, training", COLOURS["blue"], "o"),
    "test_normal": ("real normal, test", "#56B4E9", "s"),
    "anomalous": ("defective, test", COLOURS["green"], "X"),
    "generated": ("generated", COLOURS["orange"], "^"),
}


def legend_labels(points: pd.DataFrame) -> dict[str, str]:
    """By kind: its name, number of images, and their mean distance to the nearest training normal."""
    labels = {}
    for kind, (name, _, _) in STYLES.items():
        rows = points[points["kind"] == kind]
        if len(rows):
            mean = rows["nearest_normal"].mean()
            distance = f", {mean:.3f}" if mean == mean else ""
            labels[kind] = f"{name} ({len(rows)}{distance})"
    return labels


def draw_tsne(targets: list[str | Path], points: pd.DataFrame, title: str) -> None:
    """Draw table ``tsne_points`` under each name of ``targets``, PNG or SVG."""
    from matplotlib.figure import Figure

    with drawing_style():
        figure = Figure(figsize=(8.5, 7.6), layout="constrained")
        axis = figure.subplots()
        for kind, label in legend_labels(points).items():
            _, colour, marker = STYLES[kind]
            rows = points[points["kind"] == kind]
            axis.scatter(
                rows["x"], rows["y"], s=70, c=colour, marker=marker, edgecolors="white", linewidths=0.6, label=label
            )
        axis.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
        axis.set_title(title, fontsize=14, fontweight="bold")
        handles, names = axis.get_legend_handles_labels()
        legend_title = "images (number, mean distance in feature space to the nearest other training normal)"
        figure.legend(
            handles, names, loc="outside lower center", ncols=2, frameon=False, title=legend_title, title_fontsize=11
        )
        save(figure, *targets)
