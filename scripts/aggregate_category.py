"""Adapter of rule aggregate_category: the cells of one category in, its rows of the summary and their draws out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.evaluation.aggregation import category_rows, summarise, write_rows
from variad.evaluation.cells import read_cells

with job(snakemake):
    cells = read_cells(snakemake.input.metrics, snakemake.input.scores, snakemake.input.histograms)
    rows = category_rows(cells, snakemake.params.seed)
    published = read_table(snakemake.input.published, "published_auroc")
    write_table(snakemake.output.table, summarise(rows, published), "summary")
    write_rows(snakemake.output.draws, rows)
