"""Adapter of rule predict_images: a model and unlabelled images in; ranking, threshold and heat maps out."""

from pathlib import Path

import numpy as np

from variad.core.errors import UserError
from variad.core.files import filling
from variad.core.job import job
from variad.core.records import read_shots
from variad.core.seeding import numpy_generator
from variad.core.tables import read_table, write_table
from variad.detectors.interface import create_detector, detector_class
from variad.detectors.scoring import TestSet, full_size_maps, ranked, score_images, write_map
from variad.detectors.training import CellFiles, accepted_rows, extractor_of, held_out_scores, training_input
from variad.generation.added import read_added
from variad.report.heatmaps import draw_predictions

RUN = 0

with job(snakemake) as at, filling(snakemake.output.heatmaps) as folder:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    entry, extractor = params.detector, extractor_of(params.extractor, given.images)
    manifest = read_table(given.manifest, "manifest")
    rows = manifest[manifest["split"] == "unlabelled"]
    if rows.empty:
        raise UserError(f"{given.manifest}: expected images in a folder 'unlabelled' to predict, found none.")
    test = TestSet(rows, given.images, given.features, extractor.layers, extractor.resolution, extractor.crop)
    model = Path(given.models).with_name(f"run_{RUN}.safetensors")
    detector = detector_class(entry["method"]).load(model, at.device)
    scored = score_images(detector, test)

    added_features = given.get("added_features") or None
    files = CellFiles(given.images, given.features, given.added, added_features, extractor.layers)
    shots = read_shots(given.shots, names.scenario)[RUN]
    added = read_added(given.added)
    parents = shots + [added.parent[row] for row in accepted_rows(files, RUN)]
    normal = held_out_scores(
        lambda: create_detector(entry["method"], entry["settings"], extractor, at.device),
        training_input(files, RUN, shots, detector.uses_images),
        parents,
        len(shots),
        numpy_generator(params.seed, names.dataset, names.category, "threshold"),
    )
    threshold = float(np.quantile(normal, params.quantile))
    at.log.info("threshold %.6g: quantile %g of %d held-out normal scores", threshold, params.quantile, len(normal))

    maps = dict(full_size_maps(scored, test, detector.map_sigma))
    for name, anomaly_map in maps.items():
        write_map(folder / f"{name}.tiff", anomaly_map)
    predictions = ranked(test.image_ids, scored.scores, threshold)
    draw_predictions(folder, given.images, maps, predictions)
    write_table(snakemake.output.predictions, predictions, "predictions")
