"""Adapter of rule plot_heatmaps: anomaly maps in, one picture of a few of them out."""

from pathlib import Path

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.heatmaps import draw_heatmaps

with job(snakemake):
    names = snakemake.wildcards
    draw_heatmaps(
        snakemake.output.sheet,
        title=f"{names.dataset} / {names.category}, {names.scenario}, {names.training_set}, {names.detector}",
        images=snakemake.input.images,
        scores=read_table(snakemake.input.scores, "scores"),
        maps=Path(snakemake.input.maps).parent,
        category=names.category,
    )
