"""Adapter of rule unpack_dataset: render the files of a data set that comes without any."""

from variad.core.job import job
from variad.datasets.adapters import unpack_dataset

with job(snakemake):
    unpack_dataset(snakemake.params.adapter, snakemake.output.folder, **snakemake.params.settings)
