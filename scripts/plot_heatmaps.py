"""Adapter of the rules plot_heatmaps: anomaly maps of a scenario's cells in, a picture of some of each cell's out."""

from pathlib import Path

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.drawing import save_small
from variad.report.heatmaps import draw_heatmaps

with job(snakemake):
    names, given, chosen = snakemake.wildcards, snakemake.input, snakemake.params
    made = snakemake.output
    cells = zip(chosen.training_sets, given.scores, given.maps, made.sheets, made.small, strict=True)
    for training_set, scores, maps, sheet, small in cells:
        draw_heatmaps(
            sheet,
            title=f"{names.dataset} / {names.category}, {names.scenario}, {training_set}, {chosen.detector}",
            images=given.images,
            scores=read_table(scores, "scores"),
            maps=Path(maps).parent,
            category=names.category,
        )
        save_small(sheet, small)
