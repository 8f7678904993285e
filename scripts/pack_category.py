"""Adapter of rule pack_category: the images of a manifest as 8-bit RGB at one size, in one file."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.datasets.adapters import open_dataset, saturations_of
from variad.datasets.manifest import pack_category

with job(snakemake) as at:
    root = snakemake.input.root or snakemake.params.path
    dataset = open_dataset(snakemake.params.adapter, root, **snakemake.params.settings)
    manifest = read_table(snakemake.input.manifest, "manifest")
    pack_category(
        manifest,
        dataset.root,
        snakemake.output.images,
        image_size=snakemake.params.image_size,
        dataset=snakemake.wildcards.dataset,
        category=snakemake.wildcards.category,
        saturations=saturations_of(dataset, snakemake.wildcards.category),
    )
    at.log.info("%d images at %d px", len(manifest), snakemake.params.image_size)
