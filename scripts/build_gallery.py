"""Adapter of rule build_gallery: the categories' pages and the summary in, the overview out."""

from pathlib import Path

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.pages import build_overview

with job(snakemake):
    build_overview(
        snakemake.output.index,
        pages=[Path(page).parent for page in snakemake.input.pages],
        summary=read_table(snakemake.input.summary, "summary"),
        figure=snakemake.input.figure,
    )
