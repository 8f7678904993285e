"""Adapter of rule train_vqgan: settings in, weights and their measured quality out."""

from variad.core.job import job
from variad.networks.vqgan_quality import write_quality
from variad.networks.vqgan_training import train_vqgan, training_from

with job(snakemake):
    network, training = training_from(snakemake.params.settings or {}, source="config key vqgans.*.training")
    train_vqgan(snakemake.output.weights, network, training)
    write_quality(snakemake.output.quality, snakemake.output.weights)
