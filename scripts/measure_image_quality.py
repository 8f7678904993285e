"""Adapter of rule measure_image_quality: added images, their parents and features in, one row an image out."""

import numpy as np

from variad.core.job import job
from variad.core.records import read_image_ids, read_images, read_shots
from variad.core.tables import write_table
from variad.evaluation.image_quality import compare_with_parents, load_lpips
from variad.evaluation.spread import image_quality_table, pooled, pooled_features
from variad.generation.added import read_added
from variad.networks.on_demand import FeaturesOnDemand

with job(snakemake) as at:
    added = read_added(snakemake.input.added)
    backbone = snakemake.input.get("lpips")
    if not backbone:
        at.log.info("no weights of LPIPS on this machine: its column stays empty")

    parents = sorted(set(added.parent))
    images = read_images(snakemake.input.images, parents)
    # each picture once, however many runs show it: it has one parent
    _, first = np.unique(added.shown, return_index=True)
    parent_of = [parents.index(added.parent[row]) for row in first]
    of_pictures = compare_with_parents(added.images, images, parent_of, load_lpips(backbone) if backbone else None)
    compared = {name: values[added.shown] for name, values in of_pictures.items()}

    row = {name: number for number, name in enumerate(read_image_ids(snakemake.input.real_features))}
    shots = {
        run: pooled_features(snakemake.input.real_features, [row[name] for name in names])
        for run, names in read_shots(snakemake.input.shots, snakemake.wildcards.scenario).items()
    }
    extractor = snakemake.params.extractor
    features_of = FeaturesOnDemand.of(snakemake.input.added, extractor, extractor["layers"], at.device)
    features = pooled(features_of, range(len(added.images)))[added.shown]
    table = image_quality_table(vars(added), compared, features, shots)
    write_table(snakemake.output.table, table, "image_quality")
