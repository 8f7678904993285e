"""Adapter of rule invert_images: support sets in, the noise that their images are made from out."""

from variad.anomalies.inversions import compute_inversions, write_inversions
from variad.core.job import job
from variad.core.records import read_images
from variad.datasets.sampling import all_image_ids, read_support
from variad.networks.diffusion_models import load_diffusion

with job(snakemake) as at:
    given, params = snakemake.input, snakemake.params
    names = all_image_ids(read_support(given.support))
    model = load_diffusion(params.model, at.device)
    inversions = compute_inversions(model, names, read_images(given.images, names), params.steps, params.batch_size)
    write_inversions(snakemake.output.inversions, inversions)
    at.log.info("%d images inverted and regenerated with %d steps", len(names), params.steps)
