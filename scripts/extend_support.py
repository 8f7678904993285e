"""Adapter of rule extend_support: support images in, generated normals made from them out."""

from variad.core.job import job
from variad.core.records import read_images
from variad.datasets.sampling import read_support
from variad.generation.added import Chunks, write_added
from variad.generation.engine import PromptFiles, build_generated
from variad.selection.exposure import support_requests

with job(snakemake) as at:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    wanted = support_requests(
        read_support(given.support), params.per_image, params.seed, (names.dataset, names.category)
    )
    parents = read_images(given.images, [request.parent for request in wanted])
    nothing = PromptFiles(None, None, None)
    added = build_generated(
        parents, wanted, params.recipe, params.vqgan, None, nothing, snakemake.output.images, at.device, at.memory
    )
    at.log.info("%d images made of the support sets, %d of them accepted", len(added.images), added.accepted.sum())
    write_added(snakemake.output.images, added, params.recipe)
    Chunks(snakemake.output.images, "").clear()
