"""Adapter of rule aggregate_selection: judged categories in, the tables of the study out."""

import numpy as np

from variad.core.job import job
from variad.core.tables import write_table
from variad.selection.records import read_draws, read_tables, selection_page, selection_summary, write_markdown

with job(snakemake):
    given, params, out = snakemake.input, snakemake.params, snakemake.output
    judged = read_tables(given.judged, "judged")
    draws = np.concatenate([read_draws(path) for path in given.draws])
    titles = {"detector": "Choosing detectors", "prompt": "Choosing prompts"}
    for kind, table, text in (
        ("detector", out.selection, out.selection_text),
        ("prompt", out.templates, out.templates_text),
    ):
        summary = selection_summary(judged, draws, kind, params.groups)
        write_table(table, summary, "selection_summary")
        write_markdown(text, selection_page(summary, titles[kind], params.caption))
    write_table(out.points, read_tables(given.points, "selection_points"), "selection_points")
