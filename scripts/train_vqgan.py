"""Adapter of rule train_vqgan: settings in, weights and their measured quality out."""

from variad.core.job import job
from variad.networks.training import settings_from
from variad.networks.vqgan_quality import write_quality
from variad.networks.vqgan_training import SMALL, VqganTraining, train_vqgan

with job(snakemake):
    given, key = snakemake.params.settings or {}, "config key vqgans.*.training"
    network, training = settings_from(given, key, "train_vqgan", SMALL, VqganTraining())
    train_vqgan(snakemake.output.weights, network, training)
    write_quality(snakemake.output.quality, snakemake.output.weights)
