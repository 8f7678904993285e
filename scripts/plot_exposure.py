"""Adapter of rule plot_exposure: the table of outlier exposure in, its figure out."""

from variad.report.exposure_gains import draw_exposure
from variad.running import job
from variad.tables import read_table

with job(snakemake):
    draw_exposure(snakemake.output.png, snakemake.output.svg, read_table(snakemake.input.table, "exposure"))
