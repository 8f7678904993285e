"""Adapter of rule compare_prompts: chosen prompts in, table 4 out."""

import json
from pathlib import Path

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_tables import prompt_table, write_prompt_pages

with job(snakemake):
    entry, out = snakemake.params.entry, snakemake.output
    choices = {
        category: json.loads(Path(path).read_text("utf-8"))
        for category, path in zip(entry["categories"], snakemake.input.choices, strict=True)
    }
    published = read_table(snakemake.input.published, "published_ablations")
    write_table(out.csv, prompt_table(entry["dataset"], entry["scenario"], choices, published), "ablation_prompts")
    table = read_table(out.csv, "ablation_prompts")
    write_prompt_pages({"md": out.md, "tex": out.tex}, table, snakemake.params.caption)
