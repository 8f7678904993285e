"""Adapter of rule build_gallery_page: everything looked at in one category in, a folder of HTML out."""

from pathlib import Path

from variad.core.files import filling
from variad.core.job import job
from variad.report.gallery import PageSources, build_page

with job(snakemake), filling(snakemake.output.page) as folder:
    given = snakemake.input
    build_page(
        folder,
        PageSources(
            dataset=snakemake.wildcards.dataset,
            category=snakemake.wildcards.category,
            images=[Path(path) for path in given.images],
            manifests=[Path(path) for path in given.manifests],
            inventory=Path(given.inventory),
            shots=Path(given.shots),
            prompts=[Path(path) for path in given.get("prompts", [])],
            added=[Path(path) for path in given.get("added", [])],
            scores=[Path(path) for path in given.get("scores", [])],
            turning=[Path(path) for path in given.get("turning", [])],
        ),
    )
