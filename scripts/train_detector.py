"""Adapter of rule train_detector: features of a training set in, one model a run out."""

from variad.core.files import filling
from variad.core.job import job
from variad.core.records import read_shots
from variad.core.seeding import numpy_generator
from variad.detectors.interface import create_detector
from variad.detectors.training import CellFiles, extractor_of, training_input

with job(snakemake) as at, filling(snakemake.output.models) as folder:
    given, entry, names = snakemake.input, snakemake.params.detector, snakemake.wildcards
    added_features = given.get("added_features") or None
    extractor = extractor_of(snakemake.params.extractor, given.images)
    files = CellFiles(given.images, given.features, given.added, added_features, extractor.layers)
    shots_of = read_shots(given.shots, names.scenario)
    for run in range(snakemake.params.runs):
        shots = shots_of[run]
        detector = create_detector(entry["method"], entry["settings"], extractor, at.device)
        training = training_input(files, run, shots, detector.uses_images)
        key = (names.dataset, names.category, names.scenario, names.training_set, names.detector, run)
        detector.fit(training, numpy_generator(snakemake.params.seed, *key))
        detector.save(folder / f"run_{run}.safetensors")
        at.log.info("run %d: fitted on %d images", run, len(next(iter(training.features.values()))))
