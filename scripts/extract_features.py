"""Adapter of rules extract_features and extract_added_features: packed images in, patch features out."""

import json

from variad.backbones import load_backbone
from variad.feature_files import image_batches
from variad.features import write_features
from variad.records import count_images, optional_image_ids
from variad.running import job

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
