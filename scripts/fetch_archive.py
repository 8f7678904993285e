"""Adapter of rule fetch_archive: a published file, complete and verified, and a record that it came."""

import sys
from pathlib import Path

from variad.core.job import job
from variad.downloads.catalogue import DATASET_FILES, find_source
from variad.downloads.sources import fetch_source, licence_notice, mirrored, write_fetched

with job(snakemake):
    published = find_source(DATASET_FILES[snakemake.wildcards.archive])
    source = mirrored(published, **snakemake.params.mirror)
    print(licence_notice(source), file=sys.stderr)
    fetched = fetch_source(source, Path(snakemake.output.record).parent)
    write_fetched(snakemake.output.record, source, fetched)
