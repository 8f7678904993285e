"""Adapter of rule judge_thresholds: held-out and test scores in; what thresholds do to test images out."""

from variad.core.files import write_text
from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.inspect.answers import Answers, HeldOutScores
from variad.inspect.predictions import thresholds_table, thresholds_told

RUN = 0

with job(snakemake) as at:
    given, names = snakemake.input, snakemake.wildcards
    held_out = HeldOutScores.from_table(read_table(given.held_out, "held_out_scores"))
    answers = Answers(held_out, snakemake.params.quantiles)
    tested = read_table(given.scores, "scores").query(f"run == {RUN}")
    thresholds = thresholds_table(answers, tested)
    write_table(snakemake.output.thresholds, thresholds, "thresholds")
    told = thresholds_told(f"{names.dataset}/{names.category}", answers, thresholds)
    write_text(snakemake.output.told, told)
    at.log.info("%s", told)
