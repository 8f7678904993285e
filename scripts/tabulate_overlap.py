"""Adapter of rule tabulate_overlap: the summary in; AUROC by type of anomaly, AU-sPRO and AUPRO out."""

from variad.core.files import write_text
from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.overlap import by_type, by_type_page, per_region, per_region_page

with job(snakemake):
    out, caption = snakemake.output, snakemake.params.caption
    summary = read_table(snakemake.input.summary, "summary")
    typed, regions = by_type(summary), per_region(summary)
    write_table(out.loco, typed, "overlap_summary")
    write_table(out.aupro, regions, "overlap_summary")
    write_text(out.loco_page, by_type_page(typed, caption))
    write_text(out.aupro_page, per_region_page(regions, caption))
