"""Adapter of rule embed_candidates: every distinct prompt, embedded once."""

from time import perf_counter

from variad.core.job import job
from variad.core.tables import read_table
from variad.generation.prompts import embed_texts, write_texts
from variad.networks.encoders import load_encoder

with job(snakemake) as at:
    prompts = list(dict.fromkeys(read_table(snakemake.input.candidates, "candidates")["prompt"]))
    encoder = load_encoder(**snakemake.params.encoder, classes=snakemake.input.encoder or None, device=at.device)
    start = perf_counter()
    embeddings = embed_texts(encoder, prompts)
    at.log.info("%d texts, %.0f a second", len(prompts), len(prompts) / (perf_counter() - start))
    write_texts(snakemake.output.texts, prompts, embeddings, encoder.name)
