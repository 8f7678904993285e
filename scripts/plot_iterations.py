"""Adapter of rule plot_iterations: metrics and one training set's steps in, figure 15 out."""

from variad.ablations.curve_figures import draw_iterations, read_steps
from variad.ablations.curves import iteration_curve
from variad.ablations.values import read_metrics
from variad.running import job
from variad.tables import read_table, write_table

with job(snakemake):
    entry, out = snakemake.params.entry, snakemake.output
    place = {name: entry[name] for name in ("dataset", "category", "detector", "scenario")}
    curve = iteration_curve(place, snakemake.params.iterations, read_metrics(snakemake.input.metrics))
    write_table(out.table, curve, "ablation_curve")
    title = f"Figure 15: guided iterations, {' / '.join(place.values())}"
    steps = read_steps(snakemake.input.added)
    draw_iterations([out.png, out.svg], read_table(out.table, "ablation_curve"), steps, title)
