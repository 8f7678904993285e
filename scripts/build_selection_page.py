"""Adapter of rule build_selection_page: tables, figures and contact sheets of selection in, its page out."""

from variad.core.job import job
from variad.report.pages import Part, build_branch_page, write_link

TITLE = "Selection with synthetic anomalies"
LEAD = "Detectors, prompts and recipes chosen without a labelled defect, and what the choices are worth on real data."

with job(snakemake):
    given, out = snakemake.input, snakemake.output
    sheets = list(zip(snakemake.params.labels, given.sheets, strict=True))
    parts = [
        Part(tables=[given.selection], figures=[given.tau, *given.scatter]),
        Part(tables=given.templates, figures=given.template_scatter),
        Part(tables=given.recipes),
        Part("The anomalies, framed orange, beside what they were made from", sheets=sheets),
    ]
    build_branch_page(out.page, TITLE, LEAD, parts)
    write_link(out.link, "selection.html", TITLE, LEAD, given.picture)
