"""Adapter of rule evaluate_cell: image scores and pixel metrics in, every metric of every run out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.evaluation.cells import CELL_KEY, evaluate_cell

with job(snakemake):
    table = evaluate_cell(
        read_table(snakemake.input.scores, "scores"),
        read_table(snakemake.input.pixel_metrics, "pixel_metrics"),
        {name: snakemake.wildcards[name] for name in CELL_KEY},
    )
    write_table(snakemake.output.metrics, table, "metrics")
