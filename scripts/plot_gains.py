"""Adapter of rule plot_gains: the summary table in, the figure of gains out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.gains import draw_gains

with job(snakemake):
    draw_gains(snakemake.output.png, snakemake.output.svg, read_table(snakemake.input.summary, "summary"))
