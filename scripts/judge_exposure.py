"""Adapter of rule judge_exposure: scores of every category and labels in, the table of outlier exposure out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.selection.exposure_judging import exposure_page, exposure_table, judge_category, network_text
from variad.selection.records import write_markdown

with job(snakemake):
    given, params = snakemake.input, snakemake.params
    judged = {
        (dataset, category): judge_category(
            read_table(scores, "exposure_scores"), read_table(manifest, "manifest"), params.seed, dataset, category
        )
        for (dataset, category), scores, manifest in zip(params.categories, given.scores, given.manifests, strict=True)
    }
    control = params.controls[0] if params.controls else "nothing"
    table = exposure_table(judged, control)
    write_table(snakemake.output.table, table, "exposure")
    network = network_text(params.backbone, params.trained_blocks)
    write_markdown(snakemake.output.page, exposure_page(table, params.caption, network, control))
