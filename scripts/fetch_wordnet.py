"""Adapter of rule fetch_wordnet: WordNet's dictionary, as NLTK reads it."""

from variad.prompts.wordnet import fetch_wordnet
from variad.running import job

with job(snakemake):
    fetch_wordnet(snakemake.params.source, snakemake.output.dictionary)
