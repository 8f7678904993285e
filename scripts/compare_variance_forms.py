"""Adapter of rule compare_variance_forms: metrics and image quality of the forms of the latent in, table 16 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_tables import form_table, qualities_of, write_value_pages
from variad.paper.ablation_values import read_metrics

with job(snakemake):
    given, out, entry = snakemake.input, snakemake.output, snakemake.params.entry
    moved = set(snakemake.params.views) != {"none"}
    published = read_table(given.published, "published_ablations")
    table = form_table(entry, read_metrics(given.metrics), qualities_of(entry, given.quality), moved, published)
    write_table(out.csv, table, "ablation_table")
    title = "Table 16: forms of the latent, image quality against the shot and image AUROC"
    pages = {"md": out.md, "tex": out.tex}
    write_value_pages(pages, read_table(out.csv, "ablation_table"), title, snakemake.params.caption)
