"""Adapter of rule build_conse: sentence embeddings of ImageNet's class names."""

from variad.core.job import job
from variad.networks.conse import imagenet_class_names, load_minilm, write_classes

with job(snakemake):
    write_classes(snakemake.output.classes, imagenet_class_names(), load_minilm())
