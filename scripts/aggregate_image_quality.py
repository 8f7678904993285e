"""Adapter of rule aggregate_image_quality: tables of each training set in, one table of the study out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.evaluation.spread import KEY, summarise_quality

with job(snakemake):
    keys = [dict(zip(KEY, names, strict=True)) for names in snakemake.params.training_sets]
    tables = [read_table(path, "image_quality") for path in snakemake.input.tables]
    spreads = [read_table(path, "real_spread") for path in snakemake.input.real]
    categories = [tuple(names) for names in snakemake.params.categories]
    table = summarise_quality(keys, tables, dict(zip(categories, spreads, strict=True)))
    write_table(snakemake.output.table, table, "image_quality_summary")
