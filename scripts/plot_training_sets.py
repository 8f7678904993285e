"""Adapter of rule plot_training_sets: added images of several training sets in, one picture of them out."""

from variad.report.side_by_side import draw_side_by_side
from variad.running import job

with job(snakemake):
    names = snakemake.wildcards
    title = f"{names.dataset} / {names.category}, {names.scenario}, run 0"
    draw_side_by_side(
        snakemake.output.figure, title, snakemake.input.images, snakemake.params.sets, snakemake.input.added
    )
