"""Adapter of rule build_conse: sentence embeddings of ImageNet's class names."""

from variad.encoders.class_names import imagenet_class_names
from variad.encoders.conse import write_classes
from variad.encoders.minilm import load_minilm
from variad.running import job

with job(snakemake):
    write_classes(snakemake.output.classes, imagenet_class_names(), load_minilm())
