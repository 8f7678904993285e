"""Adapter of rule plot_gains: the summary table in, the figures of gains out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.gains import draw_gains

with job(snakemake):
    summary, out = read_table(snakemake.input.summary, "summary"), snakemake.output
    draw_gains(out.png, out.svg, summary)
    if "others_png" in out.keys():  # noqa: SIM118 a list of files, with names
        draw_gains(out.others_png, out.others_svg, summary, others=True)
