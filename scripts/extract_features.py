"""Adapter of rule extract_features: real or added images in, the features of a frozen network out."""

import json

import h5py

from variad.core.job import job
from variad.core.provenance import digest_of
from variad.core.records import RowsBefore, count_images, image_batches, optional_strings
from variad.networks.backbones import load_backbone
from variad.networks.feature_file import write_features

with job(snakemake) as at:
    images, extractor = snakemake.input.images, snakemake.params.extractor
    backbone = load_backbone(extractor["backbone"], extractor["layers"], extractor["weights"])
    contents = optional_strings(images, "sha256")
    attributes = {"extractor": json.dumps(extractor, sort_keys=True)}
    with h5py.File(images) as file:
        made = [attributes["extractor"], backbone.weights_sha256, file.attrs.get("made_with", "")]
    attributes["made_with"] = json.dumps([digest_of(snakemake.input.code, ("timm", "torch", "torchvision")), *made])
    with RowsBefore(snakemake.output.features, attributes["made_with"]) as before:
        rows = None if contents is None else before.unknown(contents)
        write_features(
            snakemake.output.features,
            image_batches(images, rows=rows),
            count_images(images),
            backbone,
            attributes,
            image_ids=optional_strings(images, "image_id"),
            contents=contents,
            before=before,
            resolution=extractor["resolution"],
            crop=extractor["crop"],
            stored_as=extractor["stored_as"],
            device=at.device,
        )
    at.log.info("%d images, %s of them computed", count_images(images), "all" if rows is None else len(rows))
