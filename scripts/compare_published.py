"""Adapter of rule compare_published: the summary and the published values in, tables 5 to 15 beside ours out."""

from pathlib import Path

from variad.core.files import write_text
from variad.core.job import job
from variad.core.tables import read_table
from variad.paper.comparison import TABLES, Facts, Measured, told, write_comparison

with job(snakemake):
    given, out = snakemake.input, snakemake.output
    measured = Measured(read_table(given.summary, "summary"))
    facts = Facts(Path(given.published[0]).parent)
    numbers = []
    for number, *paths in zip(TABLES, out.csv, out.md, out.tex, strict=True):
        forms = dict(zip(("csv", "md", "tex"), paths, strict=True))
        numbers += write_comparison(number, measured, facts, snakemake.params.caption, forms)
    write_text(out.told, told(numbers))
