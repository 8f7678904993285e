"""Adapter of rules extract_features and extract_added_features: packed images in, patch features out."""

import json

from variad.core.job import job
from variad.core.records import count_images, image_batches, optional_image_ids
from variad.networks.backbones import load_backbone
from variad.networks.features import write_features

with job(snakemake) as at:
    images, extractor = snakemake.input.images, snakemake.params.extractor
    backbone = load_backbone(extractor["backbone"], extractor["layers"], extractor["weights"])
    write_features(
        snakemake.output.features,
        image_batches(images),
        count_images(images),
        backbone,
        {"extractor": json.dumps(extractor, sort_keys=True)},
        image_ids=optional_image_ids(images),
        resolution=extractor["resolution"],
        crop=extractor["crop"],
        device=at.device,
    )
