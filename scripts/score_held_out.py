"""Adapter of rule score_held_out: photographs of a training set, scored by detectors that saw nothing of them."""

from variad.core.job import job
from variad.core.records import read_shots
from variad.core.seeding import numpy_generator
from variad.core.tables import write_table
from variad.detectors.held_out import CandidateFiles, score_held_out, write_held_out_maps
from variad.detectors.interface import create_detector
from variad.detectors.training import CellFiles, extractor_of, kept_or_on_demand
from variad.networks.on_demand import FeaturesOnDemand

RUN = 0

with job(snakemake) as at:
    given, entry, names = snakemake.input, snakemake.params.detector, snakemake.wildcards
    extractor = extractor_of(snakemake.params.extractor, given.images)
    # of the added images, which nobody but detectors looks at: on disk they would be most of a study
    on_demand = (snakemake.params.whole_extractor, extractor.layers, at.device)
    features = kept_or_on_demand(given.get("features"), given.images, *on_demand)
    files = CellFiles(
        given.images, features, given.added, FeaturesOnDemand.of(given.added, *on_demand), extractor.layers
    )
    kept = given.candidate_features or [None] * len(given.candidate_images)
    held_out = score_held_out(
        lambda: create_detector(entry["method"], entry["settings"], extractor, at.device),
        files,
        read_shots(given.shots, names.scenario)[RUN],
        extractor,
        [
            CandidateFiles(images, kept_or_on_demand(path, images, *on_demand))
            for images, path in zip(given.candidate_images, kept, strict=True)
        ],
        numpy_generator(snakemake.params.seed, names.dataset, names.category, "threshold"),
        RUN,
    )
    write_table(snakemake.output.scores, held_out.table(), "held_out_scores")
    write_held_out_maps(snakemake.output.maps, held_out)
    at.log.info("%d held-out scores", len(held_out.image_ids))
