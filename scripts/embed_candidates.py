"""Adapter of rule embed_candidates: every distinct prompt, embedded once."""

from time import perf_counter

from variad.encoders import load_encoder
from variad.prompts.texts import embed_texts, write_texts
from variad.running import job
from variad.tables import read_table

with job(snakemake) as at:
    prompts = list(dict.fromkeys(read_table(snakemake.input.candidates, "candidates")["prompt"]))
    encoder = load_encoder(**snakemake.params.encoder, classes=snakemake.input.encoder or None, device=at.device)
    start = perf_counter()
    embeddings = embed_texts(encoder, prompts)
    at.log.info("%d texts, %.0f a second", len(prompts), len(prompts) / (perf_counter() - start))
    write_texts(snakemake.output.texts, prompts, embeddings, encoder.name)
