"""Adapter of rule plot_iterations: metrics and one training set's steps in, figure 15 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_values import read_metrics
from variad.paper.curves import iteration_curve
from variad.paper.figures import draw_iterations, read_steps

with job(snakemake):
    entry, out = snakemake.params.entry, snakemake.output
    place = {name: entry[name] for name in ("dataset", "category", "detector", "scenario")}
    curve = iteration_curve(place, snakemake.params.iterations, read_metrics(snakemake.input.metrics))
    write_table(out.table, curve, "ablation_curve")
    title = f"Figure 15: guided iterations, {' / '.join(place.values())}"
    steps = read_steps(snakemake.input.added)
    draw_iterations([out.png, out.svg], read_table(out.table, "ablation_curve"), steps, title)
