"""Adapter of rule score_synthetic: normal images and synthetic anomalies in, their scores by every candidate out."""

from variad.core.job import job
from variad.core.records import image_side
from variad.core.tables import write_table
from variad.selection.synthetic import SourceFiles, score_sets, synthetic_sets
from variad.selection.trials import candidate_table, open_candidates

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
    files = zip(params.sources, given.anomalies, given.manifests, strict=True)
    pool, sets = synthetic_sets(given.images, given.support, [SourceFiles(*one) for one in files])
    at.log.info("%d images, %d sets of a run and source", len(pool.images), len(sets))
    table = candidate_table(candidates, names.candidate_set, params.candidates["method"])
    write_table(snakemake.output.candidates, table, "selection_candidates")
    write_table(snakemake.output.scores, score_sets(candidates, pool, sets, names.candidate_set), "synthetic_scores")
