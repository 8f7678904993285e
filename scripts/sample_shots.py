"""Adapter of rule sample_shots: the training normals that each scenario and run may see."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.datasets.sampling import sample_shots

with job(snakemake):
    shots = sample_shots(
        read_table(snakemake.input.manifest, "manifest"),
        snakemake.params.scenarios,
        root_seed=snakemake.params.seed,
        dataset=snakemake.wildcards.dataset,
        category=snakemake.wildcards.category,
    )
    write_table(snakemake.output.shots, shots, "shots")
