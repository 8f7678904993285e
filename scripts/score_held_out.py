"""Adapter of rule score_held_out: scores of training normals by detectors that saw nothing of them."""

import pandas as pd

from variad.core.job import job
from variad.core.records import optional_strings, read_image_ids, read_shots
from variad.core.seeding import numpy_generator
from variad.core.tables import write_table
from variad.detectors.interface import create_detector
from variad.detectors.training import CellFiles, accepted_rows, extractor_of, held_out_scores, training_input
from variad.generation.added import read_added

RUN = 0

with job(snakemake) as at:
    given, entry, names = snakemake.input, snakemake.params.detector, snakemake.wildcards
    extractor = extractor_of(snakemake.params.extractor, given.images)
    files = CellFiles(given.images, given.features, given.added, given.get("added_features") or None, extractor.layers)
    shots, added = read_shots(given.shots, names.scenario)[RUN], read_added(given.added)
    # two copies of a picture are one: neither is new to a detector that saw the other
    picture = dict(zip(read_image_ids(given.images), optional_strings(given.images, "pixels") or (), strict=True))
    parents = shots + [added.parent[row] for row in accepted_rows(files, RUN)]
    scores = held_out_scores(
        lambda: create_detector(entry["method"], entry["settings"], extractor, at.device),
        training_input(files, RUN, shots, create_detector(entry["method"], entry["settings"], extractor).uses_images),
        [picture[name] for name in parents],
        len(shots),
        numpy_generator(snakemake.params.seed, names.dataset, names.category, "threshold"),
    )
    write_table(snakemake.output.scores, pd.DataFrame({"score": scores}), "held_out_scores")
    at.log.info("%d held-out normal scores", len(scores))
