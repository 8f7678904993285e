"""Adapter of rule plot_counts: metrics and numbers of added images in, figure 18 out."""

from variad.ablations.curve_figures import draw_counts
from variad.ablations.curves import count_curves, images_a_run
from variad.ablations.values import read_metrics
from variad.running import job
from variad.tables import read_table, write_table

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
