"""Adapter of rule take_inventory: what every file of a category is used for, or why not."""

import pandas as pd

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.datasets.adapters import open_dataset, root_given
from variad.datasets.changes import write_known_files
from variad.datasets.inventory import take_inventory
from variad.datasets.pool import with_pool

with job(snakemake) as at:
    given, params, category = snakemake.input, snakemake.params, snakemake.wildcards.category
    name = snakemake.wildcards.dataset
    root = root_given(given.rendered, given.downloaded, name, snakemake.config["datasets"][name])
    dataset = with_pool(open_dataset(root=root, **params.dataset), params.pool, name, snakemake.config["scenarios"])
    images = [row for path in given.manifests for row in read_table(path, "manifest").to_dict("records")]
    inventory = pd.DataFrame(take_inventory(dataset, category, images, not_good=params.names.split("\n")[1:]))
    write_table(snakemake.output.inventory, inventory, "inventory")
    write_known_files(snakemake.output.files, params.names, {}, {})
    at.log.info("%d files", len(inventory))
