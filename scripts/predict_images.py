"""Adapter of rule predict_images: a model and unlabelled images in; ranking, answers, regions and heat maps out."""

from pathlib import Path

from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import filling
from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.detectors.held_out import with_held_out
from variad.detectors.interface import detector_class
from variad.detectors.scoring import TestSet, full_size_maps, score_images, write_map
from variad.detectors.training import extractor_of, kept_or_on_demand
from variad.inspect.answers import Answers, HeldOutScores
from variad.inspect.predictions import draw_predictions, predictions_table, regions_table
from variad.report.drawing import open_real_images

RUN = 0

with job(snakemake) as at, filling(snakemake.output.heatmaps) as folder:
    given, params = snakemake.input, snakemake.params
    extractor = extractor_of(params.extractor, given.images)
    rows = read_table(given.manifest, "manifest")
    if rows.empty:
        raise UserError(f"{given.manifest}: expected images in a folder 'unlabelled' to predict, found none.")
    features = kept_or_on_demand(
        given.get("features"), given.images, params.whole_extractor, extractor.layers, at.device
    )
    test = TestSet(rows, given.images, features, extractor.layers, extractor.resolution, extractor.crop)
    model = Path(given.models).with_name(f"run_{RUN}.safetensors")
    detector = detector_class(params.method).load(model, at.device)
    # what is in the training set itself has its score from detectors that saw nothing of it
    scored, held_out = with_held_out(score_images(detector, test), test.image_ids, given.held_out_maps)
    found = HeldOutScores.from_table(read_table(given.held_out, "held_out_scores"))
    answers = Answers(found, (params.look, params.quantile))
    if answers.bad is None:
        name = f"{snakemake.wildcards.dataset}/{snakemake.wildcards.category}"
        at.warn(f"{name}: no threshold, as one training picture alone leaves none to hold out; images are ranked.")
    else:
        at.log.info("threshold %.6g: quantile %g of %d held-out scores", answers.bad, params.quantile, answers.count)
    at.log.info("%d of %d images are in the training set", held_out.sum(), len(rows))

    # one map of full size at a time
    maps = full_size_maps(scored, test, detector.map_sigma, at.device)
    for name, anomaly_map in tqdm(maps, total=len(rows), unit="map", desc="maps", mininterval=5, disable=None):
        write_map(folder / f"{name}.tiff", anomaly_map)
    predictions = predictions_table(rows, scored.scores, held_out, answers)
    regions = regions_table(rows, scored.maps, extractor, detector.map_sigma, answers.pixel)
    with open_real_images(given.images) as real:
        draw_predictions(folder, real, predictions, regions, answers)
    write_table(snakemake.output.regions, regions, "regions")
    write_table(snakemake.output.predictions, predictions, "predictions")
