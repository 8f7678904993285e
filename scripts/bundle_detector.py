"""Adapter of rule bundle_detector: a model and what it was made from in; one file that scores photographs out."""

from pathlib import Path

from variad.core.job import job
from variad.core.records import read_shots
from variad.core.tables import read_table
from variad.detectors.training import CellFiles, extractor_of
from variad.evaluation.cells import CELL_KEY
from variad.inspect.answers import HeldOutScores
from variad.inspect.bundle import Bundle, write_bundle
from variad.inspect.collecting import licences, pixel_rule, provenance, trained_on
from variad.networks.backbones import load_backbone

RUN = 0

with job(snakemake) as at:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    entry, weights = params.detector, params.extractor["weights"]
    model = Path(given.models).with_name(f"run_{RUN}.safetensors")
    extractor = extractor_of({**params.extractor, "weights": None}, given.images)
    backbone = load_backbone(extractor.backbone, extractor.layers, weights)
    cell = CellFiles(given.images, "", given.added, None, extractor.layers)
    training = trained_on(cell, read_shots(given.shots, names.scenario)[RUN], given.get("candidate_images") or [], RUN)
    made_of = {**{name: names[name] for name in CELL_KEY}, "run": RUN}
    files = {"model": model, "held_out_scores": given.held_out}
    bundle = Bundle(
        product=f"{names.dataset}/{names.category}",
        class_name=params.class_name,
        method=entry["method"],
        settings=entry["settings"],
        extractor=extractor,
        stored_as=params.extractor["stored_as"],
        pixels=pixel_rule(given.images),
        held_out=HeldOutScores.from_table(read_table(given.held_out, "held_out_scores")),
        quantiles=params.quantiles,
        provenance=provenance(made_of, params.made_from, training, files, backbone.weights_sha256),
        licences=licences(backbone, weights, params.made_from["datasets"][names.dataset]["adapter"]),
    )
    write_bundle(snakemake.output.bundle, bundle, model, backbone, training.pictures)
    at.log.info("%d training photographs, %d held-out scores", len(training.photographs), len(bundle.held_out.score))
