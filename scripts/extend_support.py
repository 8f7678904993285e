"""Adapter of rule extend_support: support images in, generated normals made from them out."""

from variad.anomalies.support import read_support
from variad.exposure.added_support import support_requests
from variad.generation.added import write_added
from variad.generation.chunks import Chunks
from variad.generation.recipes import PromptFiles, build_generated
from variad.records import read_images
from variad.running import job

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
