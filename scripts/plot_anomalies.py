"""Adapter of rule plot_anomalies: a source's anomalies and their parents in, one picture of them out."""

from variad.anomalies.anomaly_file import read_manifest
from variad.anomalies.contact_sheet import draw_anomalies
from variad.running import job

with job(snakemake):
    names = snakemake.wildcards
    draw_anomalies(
        snakemake.output.sheet,
        title=f"{names.dataset} / {names.category}: synthetic anomalies, {names.source}",
        images=snakemake.input.images,
        anomalies=snakemake.input.anomalies,
        manifest=read_manifest(snakemake.input.manifest),
    )
