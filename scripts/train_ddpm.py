"""Adapter of rule train_ddpm: settings in, weights and their measured quality out."""

from variad.anomalies.ddpm_quality import write_quality
from variad.core.job import job
from variad.networks.ddpm_training import DdpmTraining, train_ddpm
from variad.networks.diffusion_models import SmallUNetConfig
from variad.networks.training import settings_from

with job(snakemake):
    given, key = snakemake.params.settings or {}, "config key diffusion_models.*.training"
    network, training = settings_from(given, key, "train_ddpm", SmallUNetConfig(), DdpmTraining())
    train_ddpm(snakemake.output.weights, network, training)
    write_quality(snakemake.output.quality, snakemake.output.weights)
