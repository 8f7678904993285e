"""Adapter of rule compare_training_sets: rows of all categories in, differences between pairs of training sets out."""

from variad.core.job import job
from variad.core.tables import write_table
from variad.evaluation.aggregation import average_rows, contrast_table, read_rows

with job(snakemake):
    rows = [row for path in snakemake.input.draws for row in read_rows(path)]
    rows += average_rows(rows, snakemake.params.groups, snakemake.params.across)
    write_table(snakemake.output.table, contrast_table(rows, snakemake.params.pairs), "contrasts")
