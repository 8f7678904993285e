"""Adapter of rule decide_turning: shots and unlabelled photographs in, whether the product turns out."""

from variad.core.job import job
from variad.core.records import read_image_ids, read_images, read_shots
from variad.core.seeding import numpy_generator
from variad.core.tables import read_table
from variad.detectors.training import extractor_of
from variad.networks.backbones import load_backbone
from variad.selection.fitted_detectors import extract
from variad.selection.turning import candidates_of, find_turning, first_shots, some_of

with job(snakemake) as at:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    shots = first_shots([read_shots(given.shots, scenario) for scenario in params.scenarios])
    generator = numpy_generator(params.seed, names.dataset, names.category, "turning")
    looked_at = candidates_of(read_image_ids(given.unlabelled), [read_table(pool, "pool") for pool in given.pools])
    candidates = some_of(looked_at, generator)
    extractor = extractor_of(params.extractor, given.images)
    backbone = load_backbone(extractor.backbone, extractor.layers, extractor.weights, extractor.tiles).to(at.device)
    found = find_turning(
        dict(zip(shots, read_images(given.images, shots), strict=True)),
        read_images(given.unlabelled, candidates),
        lambda images: extract(backbone, images, extractor, at.device),
    )
    found.write(snakemake.output.turning)
    at.log.info("%s", found.sentence)
