"""Adapter of rule train_ddpm: settings in, weights and their measured quality out."""

from variad.anomalies.ddpm_quality import write_quality
from variad.core.job import job
from variad.networks.ddpm_training import ddpm_training_from, train_ddpm

with job(snakemake):
    network, training = ddpm_training_from(snakemake.params.settings or {}, "config key diffusion_models.*.training")
    train_ddpm(snakemake.output.weights, network, training)
    write_quality(snakemake.output.quality, snakemake.output.weights)
