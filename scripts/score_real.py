"""Adapter of rule score_real: real test images in, their scores by every candidate out."""

from variad.core.job import job
from variad.core.records import image_side
from variad.core.tables import read_table, write_table
from variad.selection.trials import open_candidates, score_real

with job(snakemake) as at:
    given, names, params = snakemake.input, snakemake.wildcards, snakemake.params
    candidates = open_candidates(
        params.candidates,
        **params.around,
        image_size=image_side(given.images[0]),
        seed=params.seed,
        key=(names.dataset, names.category),
        classes=given.get("classes") or None,
        device=at.device,
    )
    tested = list(read_table(given.manifest, "manifest")["image_id"])
    scores = score_real(candidates, given.images, given.support, tested, names.candidate_set)
    write_table(snakemake.output.scores, scores, "real_scores")
