"""Adapter of rule choose_recipe: synthetic scores in, the training set that every source chooses out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.selection.records import choose_recipes, recipe_auroc

with job(snakemake):
    aurocs = recipe_auroc(read_table(snakemake.input.scores, "recipe_scores"))
    write_table(snakemake.output.aurocs, aurocs, "recipe_auroc")
    write_table(snakemake.output.choices, choose_recipes(aurocs), "recipe_choices")
