"""Adapter of rule aggregate_metrics: rows of all categories in, the summary with averages out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.datasets.inventory import also_tested, sentences_of
from variad.evaluation.aggregation import average_rows, read_rows, summarise
from variad.generation.settings import Turning
from variad.generation.unlabelled import choice_sentence
from variad.report.summary import write_markdown

with job(snakemake):
    rows = [row for path in snakemake.input.draws for row in read_rows(path)]
    published = read_table(snakemake.input.published, "published_auroc")
    table = summarise(rows + average_rows(rows, snakemake.params.groups, snakemake.params.across), published)
    write_table(snakemake.output.summary, table, "summary")
    packed = list(zip(snakemake.input.train, snakemake.input.test, strict=True))
    known = zip(snakemake.params.names, snakemake.input.inventories, packed, strict=True)
    remarks = {name: list(sentences_of(inventory, images, unlabelled=False)) for name, inventory, images in known}
    tested = dict(zip(snakemake.params.names, map(also_tested, snakemake.input.inventories), strict=True))
    for (dataset, category, scenario, name), path in zip(snakemake.params.chosen, snakemake.input.chosen, strict=True):
        place, photographs = f"{dataset}/{category}", read_table(path, "chosen")
        remarks[place].append(f"`{name}`, {scenario}: {choice_sentence(photographs, tested[place])}")
    if snakemake.input.turning:
        for name, path in zip(snakemake.params.names, snakemake.input.turning, strict=True):
            remarks[name].append(Turning.read(path).sentence.rstrip("."))
    write_markdown(snakemake.output.page, table, snakemake.params.caption, remarks)
