"""Adapter of rule plot_tsne: images' places in a plane in, figure 12 out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.paper.figures import draw_tsne

with job(snakemake):
    entry = snakemake.params.entry
    where = f"{entry['dataset']} / {entry['category']}, {entry['scenario']}, run {entry['run']}"
    title = f"Figure 12: t-SNE of the features of {entry['detector']}\n{where}, {entry['training_set']}"
    points = read_table(snakemake.input.table, "tsne_points")
    draw_tsne([snakemake.output.png, snakemake.output.svg], points, title)
