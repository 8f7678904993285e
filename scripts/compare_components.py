"""Adapter of rule compare_components: metrics of the cells in, table 17 or 18 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_tables import TITLES, component_table, write_value_pages
from variad.paper.ablation_values import read_metrics

with job(snakemake):
    out, number = snakemake.output, int(snakemake.wildcards.number)
    published = read_table(snakemake.input.published, "published_ablations")
    table = component_table(number, snakemake.params.entry, read_metrics(snakemake.input.metrics), published)
    write_table(out.csv, table, "ablation_table")
    pages = {"md": out.md, "tex": out.tex}
    write_value_pages(pages, read_table(out.csv, "ablation_table"), TITLES[number], snakemake.params.caption)
