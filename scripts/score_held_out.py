"""Adapter of rule score_held_out: photographs of a training set, scored by detectors that saw nothing of them."""

from variad.core.job import job
from variad.core.records import read_shots
from variad.core.seeding import numpy_generator
from variad.core.tables import write_table
from variad.detectors.held_out import CandidateFiles, score_held_out, write_held_out_maps
from variad.detectors.interface import create_detector
from variad.detectors.training import CellFiles, extractor_of

RUN = 0

with job(snakemake) as at:
    given, entry, names = snakemake.input, snakemake.params.detector, snakemake.wildcards
    extractor = extractor_of(snakemake.params.extractor, given.images)
    files = CellFiles(given.images, given.features, given.added, given.get("added_features") or None, extractor.layers)
    held_out = score_held_out(
        lambda: create_detector(entry["method"], entry["settings"], extractor, at.device),
        files,
        read_shots(given.shots, names.scenario)[RUN],
        extractor,
        [CandidateFiles(*files) for files in zip(given.candidate_images, given.candidate_features, strict=True)],
        numpy_generator(snakemake.params.seed, names.dataset, names.category, "threshold"),
        RUN,
    )
    write_table(snakemake.output.scores, held_out.table(), "held_out_scores")
    write_held_out_maps(snakemake.output.maps, held_out)
    at.log.info("%d held-out scores", len(held_out.image_ids))
