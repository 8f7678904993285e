"""Adapter of rule plot_anomalies: a source's anomalies and their parents in, one picture of them out."""

from variad.anomalies.anomaly_file import read_manifest
from variad.core.job import job
from variad.report.anomaly_sheet import draw_anomalies
from variad.report.drawing import save_small

with job(snakemake):
    names = snakemake.wildcards
    draw_anomalies(
        snakemake.output.sheet,
        title=f"{names.dataset} / {names.category}: synthetic anomalies, {names.source}",
        images=snakemake.input.images,
        anomalies=snakemake.input.anomalies,
        manifest=read_manifest(snakemake.input.manifest),
    )
    save_small(snakemake.output.sheet, snakemake.output.small)
