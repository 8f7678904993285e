"""Adapter of rule build_report_pages: the study's tables, figures and gallery in; the report's own pages out."""

from pathlib import Path

from variad.core.job import job
from variad.core.tables import read_table
from variad.report.light_gallery import copy_gallery
from variad.report.report_pages import write_cost_page, write_home, write_result_page
from variad.study.jobs import finished_jobs, took_of
from variad.study.plan import took_page

with job(snakemake):
    given, out = snakemake.input, snakemake.output
    summary = read_table(given.summary, "summary")
    copy_gallery(out.gallery, given.index, [Path(page).parent for page in given.pages])
    write_home(out.home, summary, f"{out.gallery}/index.html")
    write_result_page(out.result, summary, Path(given.tables).read_text("utf-8"), given.figures)
    write_cost_page(out.cost, took_page(took_of(finished_jobs(snakemake.params.benchmarks), [])))
