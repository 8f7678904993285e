"""Adapter of rule judge_selection: choices, scores and labels of the real test in, what each choice is worth out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.selection.judgement import judge_category
from variad.selection.records import judged_table, read_tables, real_defects, write_draws

with job(snakemake):
    given, names, out = snakemake.input, snakemake.wildcards, snakemake.output
    judged, points = judge_category(
        snakemake.params.benchmarks,
        read_tables(given.candidates, "selection_candidates"),
        read_table(given.choices, "choices"),
        read_tables(given.synthetic, "synthetic_scores"),
        read_tables(given.real, "real_scores"),
        real_defects(given.manifest),
        key=(snakemake.params.seed, names.dataset, names.category),
    )
    write_table(out.judged, judged_table(judged, names.dataset, names.category), "judged")
    write_table(out.points, points.assign(dataset=names.dataset, category=names.category), "selection_points")
    write_draws(out.draws, judged)
