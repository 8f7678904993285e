"""Adapter of rule build_exposure_page: table and figure of outlier exposure in, its page out."""

from variad.core.job import job
from variad.report.pages import Part, build_branch_page, write_link

TITLE = "Outlier exposure"
LEAD = "A pretrained network fine-tuned on normal against synthetic images, and distances to the support set."

with job(snakemake):
    given, out = snakemake.input, snakemake.output
    build_branch_page(out.page, TITLE, LEAD, [Part(tables=[given.table], figures=[given.figure])])
    write_link(out.link, "exposure.html", TITLE, LEAD, given.picture)
