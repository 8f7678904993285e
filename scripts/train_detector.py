"""Adapter of rule train_detector: features of a training set in, one model a run out."""

from variad.core.files import filling
from variad.core.job import job
from variad.core.records import read_shots
from variad.core.seeding import numpy_generator
from variad.detectors.interface import create_detector
from variad.detectors.training import CellFiles, extractor_of, kept_or_on_demand, training_input
from variad.networks.on_demand import FeaturesOnDemand

with job(snakemake) as at, filling(snakemake.output.models) as folder:
    given, entry, names = snakemake.input, snakemake.params.detector, snakemake.wildcards
    extractor = extractor_of(snakemake.params.extractor, given.images)
    # of the added images, which nobody but detectors looks at: on disk they would be most of a study
    on_demand = (snakemake.params.whole_extractor, extractor.layers, at.device)
    features = kept_or_on_demand(given.get("features"), given.images, *on_demand)
    added_features = FeaturesOnDemand.of(given.added, *on_demand)
    files = CellFiles(given.images, features, given.added, added_features, extractor.layers)
    shots_of = read_shots(given.shots, names.scenario)
    for run in range(snakemake.params.runs):
        shots = shots_of[run]
        detector = create_detector(entry["method"], entry["settings"], extractor, at.device)
        training = training_input(files, run, shots, detector.uses_images)
        key = (names.dataset, names.category, names.scenario, names.training_set, names.detector, run)
        detector.fit(training, numpy_generator(snakemake.params.seed, *key))
        detector.save(folder / f"run_{run}.safetensors")
        at.log.info("run %d: fitted on %d images", run, len(next(iter(training.features.values()))))
