"""Adapter of rule unpack_archive: an archive into its folder, with a list of what came out."""

from pathlib import Path

from variad.core.job import job
from variad.downloads.catalogue import find_source
from variad.downloads.sources import mirrored, unpack_source

with job(snakemake):
    source, *beside = (mirrored(find_source(name), **entry) for name, entry in snakemake.params.mirrors.items())
    archives = Path(snakemake.input.records[0]).parent
    unpack_source(source, archives, Path(snakemake.output.contents), snakemake.params.keep_archive, beside)
