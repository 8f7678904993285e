"""Adapter of rule make_anomalies: support sets in, one source's synthetic anomalies out.

What needs torch is imported where it is used: loading it takes longer than cutting and pasting.
"""

from variad.anomalies.anomaly_file import write_anomalies
from variad.anomalies.image_sources import METHODS, make_from_images
from variad.core.job import job
from variad.core.records import image_side
from variad.core.seeding import numpy_generator, seed_sequence
from variad.datasets.sampling import read_support

with job(snakemake) as at:
    given, names, source = snakemake.input, snakemake.wildcards, snakemake.params.source
    support = read_support(given.support)
    key = (snakemake.params.seed, names.dataset, names.category)
    purpose = f"anomalies.{names.source}"
    normals = strengths = None
    if source["method"] in METHODS:
        runs = make_from_images(
            source["method"], support, given.images, source["count"],
            lambda run: numpy_generator(*key, run, purpose),
            resolution=source["resolution"], donor_images=source["images"],
        )  # fmt: skip
    else:
        from variad.anomalies.diffusion_sources import make_with_diffusion
        from variad.networks.diffusion_models import load_diffusion

        runs, normals, strengths = make_with_diffusion(
            source, support, load_diffusion(snakemake.params.model, at.device), given.inversions,
            given.get("direction"), image_side(given.images), lambda run: seed_sequence(*key, run, purpose),
        )  # fmt: skip
    write_anomalies(snakemake.output.images, snakemake.output.manifest, names.source, runs, normals, strengths)
    at.log.info("%d anomalies in %d runs", sum(map(len, runs.values())), len(runs))
