"""Adapter of rule select_candidates: synthetic scores in, the choice of every run and source out."""

from variad.core.job import job
from variad.core.tables import write_table
from variad.selection.records import choose, read_tables, synthetic_auroc

with job(snakemake) as at:
    candidates = read_tables(snakemake.input.candidates, "selection_candidates")
    aurocs = synthetic_auroc(read_tables(snakemake.input.scores, "synthetic_scores"), candidates)
    choices = choose(aurocs, candidates, snakemake.params.default)
    write_table(snakemake.output.aurocs, aurocs, "synthetic_auroc")
    write_table(snakemake.output.choices, choices, "choices")
    at.log.info("%d candidates, %d rows of choices", len(candidates), len(choices))
