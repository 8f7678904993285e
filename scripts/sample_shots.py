"""Adapter of rule sample_shots: the training normals that each scenario and run may see."""

from variad.datasets.shots import sample_shots
from variad.running import job
from variad.tables import read_table, write_table

with job(snakemake):
    shots = sample_shots(
        read_table(snakemake.input.manifest, "manifest"),
        snakemake.params.scenarios,
        root_seed=snakemake.params.seed,
        dataset=snakemake.wildcards.dataset,
        category=snakemake.wildcards.category,
    )
    write_table(snakemake.output.shots, shots, "shots")
