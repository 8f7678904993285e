"""Adapter of rule score_prompts: shots and text embeddings in; every similarity, best and worst prompt out."""

from variad.core.job import job
from variad.core.records import read_images, read_shots
from variad.core.tables import read_table, write_table
from variad.generation.prompts import embed_images, embed_runs, read_texts, score_prompts, score_table, write_choice
from variad.networks.encoders import load_encoder

with job(snakemake) as at:
    given, names = snakemake.input, snakemake.wildcards
    candidates = read_table(given.candidates, "candidates")
    shots = read_shots(given.shots, names.scenario)
    image_ids = sorted({name for run in shots.values() for name in run})
    encoder = load_encoder(**snakemake.params.encoder, classes=given.encoder or None, device=at.device)
    embeddings = embed_images(encoder, read_images(given.images, image_ids), at.device)
    runs = embed_runs(dict(zip(image_ids, embeddings, strict=True)), shots)
    similarity = score_prompts(runs.numpy(), read_texts(given.texts, list(candidates["prompt"])))
    scores = score_table(candidates, list(shots), similarity)
    write_table(snakemake.output.scores, scores, "prompt_scores")
    choice = write_choice(
        snakemake.output.choice,
        scores,
        encoder=names.encoder,
        word_source=names.word_source,
        class_name=snakemake.params.class_name,
    )
    for run in choice:
        at.log.info("run %d: best '%s', worst '%s'", run["run"], run["best"]["prompt"], run["worst"]["prompt"])
