"""Adapter of rule index_category: every image of a category, with its split, label, size and hash."""

from variad.core.job import job
from variad.core.tables import write_table
from variad.datasets.adapters import open_dataset
from variad.datasets.manifest import index_category

with job(snakemake) as at:
    root = snakemake.input.root or snakemake.params.path
    dataset = open_dataset(snakemake.params.adapter, root, **snakemake.params.settings)
    manifest = index_category(dataset, snakemake.wildcards.category)
    write_table(snakemake.output.manifest, manifest, "manifest")
    at.log.info("%d images below %s", len(manifest), dataset.root)
