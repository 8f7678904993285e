"""Adapter of rule export_training_set: shots and added images out as PNGs in MVTec's layout."""

from variad.core.files import filling
from variad.core.job import job
from variad.core.records import read_images, read_shots
from variad.generation.added import export_training_set, read_added

with job(snakemake) as at, filling(snakemake.output.folder) as folder:
    given, names = snakemake.input, snakemake.wildcards
    added = read_added(given.added)
    for run, shots in read_shots(given.shots, names.scenario).items():
        target = folder / f"run_{run}" / names.category / "train" / "good"
        count = export_training_set(target, shots, read_images(given.images, shots), added, run)
        at.log.info("run %d: %d images", run, count)
