"""Adapter of rule embed_tsne: features of real and added images in, their places in a plane out."""

import numpy as np
import pandas as pd

from variad.core.job import job
from variad.core.seeding import numpy_generator
from variad.core.tables import read_table, write_table
from variad.evaluation.spread import pooled, pooled_features
from variad.networks.on_demand import FeaturesOnDemand
from variad.paper.tsne import kinds_of, tsne_points
from variad.report.contact_sheet import read_added_table

with job(snakemake) as at:
    given, run, extractor = snakemake.input, snakemake.params.run, snakemake.params.extractor
    kinds = pd.concat([kinds_of(read_table(manifest, "manifest")) for manifest in given.manifests])
    real = np.concatenate([pooled_features(features) for features in given.features])

    added = read_added_table(given.added).rows
    chosen = added[(added["run"] == run) & added["accepted"]]
    features_of = FeaturesOnDemand.of(given.added, extractor, extractor["layers"], at.device)
    generated = pooled(features_of, [int(row) for row in chosen["picture"]])
    seed = int(numpy_generator(snakemake.params.seed, "tsne").integers(2**31))
    table = tsne_points(real, kinds, generated, list(chosen["parent"]), run, seed)
    write_table(snakemake.output.table, table, "tsne_points")
