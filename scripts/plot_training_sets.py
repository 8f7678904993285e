"""Adapter of rule plot_training_sets: added images of several training sets in, one picture of them out."""

from variad.core.job import job
from variad.report.contact_sheet import draw_side_by_side

with job(snakemake):
    names = snakemake.wildcards
    title = f"{names.dataset} / {names.category}, {names.scenario}, run 0"
    draw_side_by_side(
        snakemake.output.figure, title, list(snakemake.input.images), snakemake.params.sets, snakemake.input.added
    )
