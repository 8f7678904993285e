"""Adapter of rule plot_counts: metrics and numbers of added images in, figure 18 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_values import read_metrics
from variad.paper.curves import count_curves, images_a_run
from variad.paper.figures import draw_counts

with job(snakemake):
    given, out, entry = snakemake.input, snakemake.output, snakemake.params.entry
    places = [{**cell, "scenario": entry["scenario"]} for cell in entry["cells"]]
    added = {
        (cell["dataset"], cell["category"], cell["training_set"]): images_a_run(path)
        for cell, path in zip(snakemake.params.cells, given.added, strict=True)
    }
    curves = count_curves(places, entry["training_sets"], added, read_metrics(given.metrics))
    write_table(out.table, curves, "ablation_curve")
    title = f"Figure 18: AUROC against the number of added images, {entry['scenario']}"
    draw_counts([out.png, out.svg], read_table(out.table, "ablation_curve"), title)
