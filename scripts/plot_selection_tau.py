"""Adapter of rule plot_selection_tau: the table of selection in, the figure of rank correlations out."""

from variad.report.selection_tau import draw_taus
from variad.running import job
from variad.tables import read_table

with job(snakemake):
    kinds = {"selection": "detectors", "templates": "prompts"}
    title = f"How well synthetic anomalies rank {kinds[snakemake.wildcards.choice]}"
    summary = read_table(snakemake.input.table, "selection_summary")
    draw_taus(snakemake.output.png, snakemake.output.svg, summary, title)
