"""Adapter of rule distil_teacher: settings in, weights and their measured quality out."""

from variad.core.job import job
from variad.detectors.efficientad_teacher import distil_teacher, settings_from, write_quality

with job(snakemake) as at:
    settings = settings_from(snakemake.params.settings or {}, source="config key teachers.*.training")
    distil_teacher(snakemake.output.weights, settings, at.device)
    write_quality(snakemake.output.quality, snakemake.output.weights, settings)
