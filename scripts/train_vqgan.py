"""Adapter of rule train_vqgan: settings in, weights and their measured quality out."""

from variad.models.vqgan_quality import write_quality
from variad.models.vqgan_training import train_vqgan, training_from
from variad.running import job

with job(snakemake):
    network, training = training_from(snakemake.params.settings or {}, source="config key vqgans.*.training")
    train_vqgan(snakemake.output.weights, network, training)
    write_quality(snakemake.output.quality, snakemake.output.weights)
