"""Adapter of rule sample_support: the normal images that each run of selection may see."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.datasets.sampling import sample_support

with job(snakemake):
    support = sample_support(
        read_table(snakemake.input.manifest, "manifest"),
        snakemake.params.counts,
        snakemake.params.runs,
        root_seed=snakemake.params.seed,
        dataset=snakemake.wildcards.dataset,
        category=snakemake.wildcards.category,
    )
    write_table(snakemake.output.support, support, "support")
