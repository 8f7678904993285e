"""Adapter of rule pack_category: the images of a manifest as 8-bit RGB at one size, in one file."""

from variad.core.job import job
from variad.core.provenance import digest_of
from variad.core.tables import read_table
from variad.datasets.adapters import open_dataset, root_given, saturations_of
from variad.datasets.manifest import pack_category

with job(snakemake) as at:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    root = root_given(given.rendered, given.downloaded, names.dataset, snakemake.config["datasets"][names.dataset])
    dataset = open_dataset(root=root, **params.dataset)
    manifest = read_table(given.manifest, "manifest")
    warnings = pack_category(
        manifest,
        dataset.root,
        snakemake.output.images,
        image_size=params.image_size,
        dataset=names.dataset,
        category=names.category,
        saturations=saturations_of(dataset, names.category),
        train=given.train or None,
        test=given.test or None,
        made_with=digest_of(given.code, ("numpy", "pillow", "tifffile")),
        refuse_copies=params.refuse_copies,
        masks_inverted=getattr(dataset, "masks_inverted", False),
    )
    at.log.info("%d images at %d px", len(manifest), params.image_size)
    for warning in warnings:
        at.warn(f"{names.dataset}/{names.category}, {names.split}: {warning}.")
