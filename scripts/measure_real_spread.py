"""Adapter of rule measure_real_spread: features of real images in, their diversity and novelty out."""

from variad.core.job import job
from variad.core.records import read_image_ids, read_shots
from variad.core.tables import write_table
from variad.evaluation.spread import pooled_features, real_spread_table

with job(snakemake):
    position = {name: number for number, name in enumerate(read_image_ids(snakemake.input.features))}
    shots = {
        scenario: {
            run: [position[name] for name in chosen]
            for run, chosen in read_shots(snakemake.input.shots, scenario).items()
        }
        for scenario in snakemake.params.scenarios
    }
    table = real_spread_table(pooled_features(snakemake.input.features), shots)
    write_table(snakemake.output.table, table, "real_spread")
