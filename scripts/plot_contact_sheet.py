"""Adapter of rule plot_contact_sheet: added images in, one picture of them out."""

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.contact_sheet import draw_contact_sheet
from variad.report.drawing import save_small

with job(snakemake):
    names = snakemake.wildcards
    shots = read_table(snakemake.input.shots, "shots")
    draw_contact_sheet(
        snakemake.output.sheet,
        title=f"{names.dataset} / {names.category}, {names.scenario}, {names.training_set}",
        images=list(snakemake.input.images),
        added=snakemake.input.added,
        shots=shots[shots["scenario"] == names.scenario],
    )
    save_small(snakemake.output.sheet, snakemake.output.small)
