"""Adapter of rule plot_exposure: the table of outlier exposure in, its figure out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.selection_figures import draw_exposure

with job(snakemake):
    draw_exposure(snakemake.output.png, snakemake.output.svg, read_table(snakemake.input.table, "exposure"))
