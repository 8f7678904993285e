"""Adapter of rule fetch_weights: published weights, verified, or their hash noted on their first download."""

import sys
from pathlib import Path

from variad.core.job import job
from variad.downloads.catalogue import WEIGHTS_FILES, find_source
from variad.downloads.sources import fetch_weights, licence_notice, mirrored

with job(snakemake):
    published = find_source(WEIGHTS_FILES[snakemake.wildcards.weights_file])
    source = mirrored(published, **snakemake.params.mirror)
    print(licence_notice(source), file=sys.stderr)
    weights = Path(snakemake.output.weights)
    fetch_weights(source, weights, weights.parents[1] / "archives", snakemake.params.keep_archive)
