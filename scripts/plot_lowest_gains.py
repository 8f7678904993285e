"""Adapter of rule plot_lowest_gains: metrics of every category in, figure 17 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_values import read_metrics
from variad.paper.curves import lowest_gains
from variad.paper.figures import draw_lowest_gains

with job(snakemake):
    entry, out = snakemake.params.entry, snakemake.output
    published = read_table(snakemake.input.published, "published_auroc")
    gains = lowest_gains(entry, snakemake.params.categories, read_metrics(snakemake.input.metrics), published)
    write_table(out.table, gains, "lowest_gains")
    title = f"Figure 17: lowest gains of {entry['training_set']}, {entry['dataset']}, {', '.join(entry['scenarios'])}"
    draw_lowest_gains([out.png, out.svg], read_table(out.table, "lowest_gains"), entry["count"], title)
