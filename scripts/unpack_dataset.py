"""Adapter of rule unpack_dataset: render the files of a data set that comes without any."""

from variad.datasets import unpack_dataset
from variad.running import job

with job(snakemake):
    unpack_dataset(snakemake.params.adapter, snakemake.output.folder, **snakemake.params.settings)
