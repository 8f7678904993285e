"""Adapter of rule plot_gains: the summary table in, the figure of gains out."""

from variad.report.gains import draw_gains
from variad.running import job
from variad.tables import read_table

with job(snakemake):
    draw_gains(snakemake.output.png, snakemake.output.svg, read_table(snakemake.input.summary, "summary"))
