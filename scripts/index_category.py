"""Adapter of rule index_category: every image of a split of a category, with its label, size and hash."""

from variad.core.job import job
from variad.core.tables import write_table
from variad.datasets.adapters import LAID_OUT_AS_FOLDER, open_dataset, root_given, watched
from variad.datasets.changes import KnownFiles, hashes_of, stamps_of, write_known_files
from variad.datasets.manifest import index_category
from variad.datasets.pool import with_pool

with job(snakemake) as at:
    given, params, names, out = snakemake.input, snakemake.params, snakemake.wildcards, snakemake.output
    entry, scenarios = snakemake.config["datasets"][names.dataset], snakemake.config["scenarios"]
    said = entry["settings"]
    answers = {key: said[key] for key in params.answers if key in said and key not in params.dataset}
    adapter, root = params.dataset["adapter"], root_given(given.rendered, given.downloaded, names.dataset, entry)
    dataset = with_pool(open_dataset(root=root, **params.dataset, **answers), params.pool, names.dataset, scenarios)
    of_user = bool(params.version)  # a folder of theirs
    parts = watched(adapter, root, names.category, names.split, bool(params.pool)) if of_user else []
    known, stamps = KnownFiles(out.files, root), stamps_of(parts, adapter in LAID_OUT_AS_FOLDER)
    manifest = index_category(dataset, names.category, names.split, known.sha256)
    write_table(out.manifest, manifest, "manifest")
    write_known_files(out.files, params.version, stamps, hashes_of(known, stamps), root)
    at.log.info("%d images of split %s below %s", len(manifest), names.split, dataset.root)
