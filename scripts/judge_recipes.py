"""Adapter of rule judge_recipes: choices and the real scores of every cell in, the table of chosen recipes out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.selection.recipes import judge_sources, real_results, recipe_page, recipe_table
from variad.selection.records import write_markdown

with job(snakemake):
    given, params = snakemake.input, snakemake.params
    aurocs = {place: read_table(path, "recipe_auroc") for place, path in zip(params.places, given.aurocs, strict=True)}
    choices = {
        place: read_table(path, "recipe_choices") for place, path in zip(params.places, given.choices, strict=True)
    }
    scores = dict(zip(params.cells, given.scores, strict=True))
    judged = {}
    for dataset, category, detector, scenario in dict.fromkeys(cell[:4] for cell in params.cells):
        place = (dataset, category, detector)
        chosen, known = (table[place][table[place]["scenario"] == scenario] for table in (choices, aurocs))
        runs = sorted(set(chosen["run"]))
        real = {cell[4]: read_table(path, "scores") for cell, path in scores.items() if cell[:4] == (*place, scenario)}
        results = real_results(real, runs, params.seed, (*place, scenario))
        judged[(*place, scenario)] = judge_sources(known, chosen, results, runs, params.default)
    table = recipe_table(judged)
    write_table(snakemake.output.table, table, "recipes")
    write_markdown(snakemake.output.page, recipe_page(table, params.caption, params.default))
