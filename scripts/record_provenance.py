"""Adapter of rule record_provenance: configuration and hashes of what the summary was made from."""

from variad.core.job import job
from variad.core.provenance import describe, write_provenance

with job(snakemake):
    files = {
        "weights": list(snakemake.input.weights),
        "manifests": list(snakemake.input.manifests),
        "tables": [snakemake.input.summary],
    }
    write_provenance(snakemake.output.record, describe(snakemake.params.config, files))
