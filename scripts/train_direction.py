"""Adapter of rule train_direction: seeds and texts in, directions of the bottleneck out."""

from variad.anomalies.direction import learn_directions, write_directions
from variad.anomalies.inversions import read_inversions
from variad.core.job import job
from variad.core.seeding import torch_generator
from variad.datasets.sampling import read_support
from variad.networks.diffusion_models import load_diffusion
from variad.networks.encoders import load_encoder

with job(snakemake) as at:
    given, names, params = snakemake.input, snakemake.wildcards, snakemake.params
    learned = learn_directions(
        params.source,
        read_support(given.support),
        load_diffusion(params.model, at.device),
        load_encoder(**params.encoder, classes=given.encoder or None, device=at.device),
        read_inversions(given.inversions),
        f"a photo of a {params.class_name}",
        lambda run, text: torch_generator(
            params.seed, names.dataset, names.category, run, f"direction.{names.source}.{text}"
        ),
    )
    for run, directions in learned.items():
        for text, direction in directions.items():
            first, last = direction.losses[0], direction.losses[-1]
            at.log.info("run %d, '%s': directional loss %.3f, then %.3f", run, text, first, last)
    write_directions(snakemake.output.direction, learned)
