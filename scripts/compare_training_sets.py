"""Adapter of rule compare_training_sets: rows of all categories in, differences between pairs of training sets out."""

from variad.aggregation import average_rows
from variad.aggregation_records import read_rows
from variad.contrasts import contrast_table
from variad.running import job
from variad.tables import write_table

with job(snakemake):
    rows = [row for path in snakemake.input.draws for row in read_rows(path)]
    rows += average_rows(rows, snakemake.params.groups)
    write_table(snakemake.output.table, contrast_table(rows, snakemake.params.pairs), "contrasts")
