"""Adapter of rule plot_selection_tau: the table of selection in, the figure of rank correlations out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.selection_figures import draw_taus

with job(snakemake):
    kinds = {"selection": "detectors", "templates": "prompts"}
    title = f"How well synthetic anomalies rank {kinds[snakemake.wildcards.choice]}"
    summary = read_table(snakemake.input.table, "selection_summary")
    draw_taus(snakemake.output.png, snakemake.output.svg, summary, title)
