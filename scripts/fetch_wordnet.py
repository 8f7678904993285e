"""Adapter of rule fetch_wordnet: WordNet's dictionary, as NLTK reads it."""

from variad.core.job import job
from variad.generation.wordnet import fetch_wordnet

with job(snakemake):
    fetch_wordnet(snakemake.params.source, snakemake.output.dictionary)
