"""Adapter of rule draw_pool: what a recipe may choose from, in every run; no label goes on from here."""

import pandas as pd

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.datasets.pool import draw_candidates, matches, with_copies

with job(snakemake) as at:
    params, names = snakemake.params, snakemake.wildcards
    rows = read_table(snakemake.input.manifest, "manifest")
    unlabelled = rows[rows["split"] == "unlabelled"]  # no line is about a test image, where these are the candidates
    images = dict(zip(unlabelled["image_id"], unlabelled["image_path"], strict=True))
    named = (name for found in matches(params.not_good, images).values() for name in found)
    objected = with_copies(named, dict(zip(unlabelled["image_id"], unlabelled["sha256"], strict=True)))
    labels = {
        name: None if pd.isna(label) else int(label)
        for name, label in zip(rows["image_id"], rows["label"], strict=True)
        if name not in objected
    }
    place = (names.dataset, names.category, names.training_set)
    drawn = draw_candidates(labels, **params.pile, root_seed=params.seed, place=place)
    write_table(snakemake.output.pool, pd.DataFrame(drawn, columns=["run", "image_id"]), "pool")
    at.log.info("%d candidates in %d runs; %d images are objected to", len(drawn), params.pile["runs"], len(objected))
