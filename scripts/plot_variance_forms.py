"""Adapter of rule plot_variance_forms: shots and added images of the forms of the latent in, figure 16 out."""

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.ablation_tables import by_category_and_form, qualities_of
from variad.paper.pictures import draw_form_panels, form_panels

with job(snakemake):
    given, entry = snakemake.input, snakemake.params.entry
    write_table(snakemake.output.table, form_panels(entry, qualities_of(entry, given.quality)), "form_panels")
    draw_form_panels(
        snakemake.output.png,
        f"Figure 16: forms of the latent, {entry['dataset']}, {entry['scenario']}",
        read_table(snakemake.output.table, "form_panels"),
        dict(zip(entry["categories"], given.images, strict=True)),
        by_category_and_form(entry, given.added),
    )
