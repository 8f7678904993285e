"""Adapter of rule score_real: real test images in, their scores by every candidate out."""

from variad.records import image_side
from variad.running import job
from variad.selection.candidate_sets import open_candidates
from variad.selection.real import score_real
from variad.tables import read_table, write_table

with job(snakemake) as at:
    given, names, params = snakemake.input, snakemake.wildcards, snakemake.params
    candidates = open_candidates(
        params.candidates,
        **params.around,
        image_size=image_side(given.images),
        seed=params.seed,
        key=(names.dataset, names.category),
        classes=given.get("classes") or None,
        device=at.device,
    )
    manifest = read_table(given.manifest, "manifest")
    tested = list(manifest.loc[manifest["split"] == "test", "image_id"])
    scores = score_real(candidates, given.images, given.support, tested, names.candidate_set)
    write_table(snakemake.output.scores, scores, "real_scores")
