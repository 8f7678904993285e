"""Adapter of rule plot_selection: points of every candidate in, the figure of one benchmark out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.selection_figures import draw_scatter

with job(snakemake):
    names, points = snakemake.wildcards, read_table(snakemake.input.points, "selection_points")
    kind = {"selection": "detector", "templates": "prompt"}[names.choice]
    chosen = points[(points["benchmark"] == names.benchmark) & (points["kind"] == kind)]
    title = f"Real against synthetic AUROC of every {kind}: {names.benchmark.replace('_', ' ')}"
    draw_scatter(snakemake.output.png, snakemake.output.svg, chosen, title)
