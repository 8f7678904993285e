"""Adapter of rule measure_real_spread: features of real images in, their diversity and novelty out."""

from variad.core.job import job
from variad.core.records import read_image_ids, read_shots
from variad.core.tables import read_table, write_table
from variad.evaluation.spread import pooled_features, real_spread_table

with job(snakemake):
    manifest = read_table(snakemake.input.manifest, "manifest")
    training = set(manifest.loc[manifest["split"] == "train", "image_id"])
    rows = [number for number, name in enumerate(read_image_ids(snakemake.input.features)) if name in training]
    names = [name for name in read_image_ids(snakemake.input.features) if name in training]
    position = {name: number for number, name in enumerate(names)}
    shots = {
        scenario: {
            run: [position[name] for name in chosen]
            for run, chosen in read_shots(snakemake.input.shots, scenario).items()
        }
        for scenario in snakemake.params.scenarios
    }
    table = real_spread_table(pooled_features(snakemake.input.features, rows), shots)
    write_table(snakemake.output.table, table, "real_spread")
