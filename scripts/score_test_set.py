"""Adapter of rule score_test_set: models and test images in; scores, metrics and maps out.

No test image is in a training set, so none needs folds; but for a recipe that is transductive, whose name says so: it
knows the test images by their look, as such methods do, and they are scored by the model that does.
"""

from pathlib import Path

from variad.core.files import filling
from variad.core.job import job
from variad.core.records import read_masks
from variad.core.tables import read_table, write_table
from variad.datasets.masks import read_defects
from variad.detectors.interface import detector_class
from variad.detectors.scoring import TestSet, pixel_metrics_table, score_run, score_table
from variad.detectors.training import extractor_of, kept_or_on_demand
from variad.evaluation.cells import CELL_KEY, evaluate_cell
from variad.evaluation.pixel import write_pixel_histograms

with job(snakemake) as at, filling(snakemake.output.maps) as maps:
    given, out = snakemake.input, snakemake.output
    extractor = extractor_of(snakemake.params.extractor, given.images)
    manifest = read_table(given.manifest, "manifest")
    test = TestSet(
        manifest,
        given.images,
        kept_or_on_demand(
            given.get("features"), given.images, snakemake.params.whole_extractor, extractor.layers, at.device
        ),
        extractor.layers,
        extractor.resolution,
        extractor.crop,
    )
    masks, defects = read_masks(given.images, test.image_ids), read_defects(given.images, test.image_ids)
    scores, metrics, histograms = {}, {}, {}
    for run in range(snakemake.params.runs):
        model = Path(given.models).with_name(f"run_{run}.safetensors")
        detector = detector_class(snakemake.params.method).load(model, at.device)
        kept = maps / f"run_{run}" / snakemake.wildcards.category if run in snakemake.params.keep_map_runs else None
        scores[run], metrics[run], histograms[run] = score_run(
            detector, test, masks, kept, defects, at.device, snakemake.params.keep_map_side
        )
        at.log.info("run %d: scored %d images", run, len(test.image_ids))
    table = score_table(test, scores)
    write_table(out.scores, table, "scores")
    cell = {name: snakemake.wildcards[name] for name in CELL_KEY}
    write_table(out.metrics, evaluate_cell(table, pixel_metrics_table(metrics), cell), "metrics")
    write_pixel_histograms(out.pixel_histograms, {run: found for run, found in histograms.items() if found})
