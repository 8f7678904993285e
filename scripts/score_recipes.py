"""Adapter of rule score_recipes: fitted detectors and synthetic anomalies in, synthetic scores of every cell out."""

from pathlib import Path

import pandas as pd

from variad.core.job import job
from variad.core.records import read_shots
from variad.core.tables import write_table
from variad.datasets.sampling import read_support
from variad.detectors.interface import detector_class
from variad.detectors.training import extractor_of
from variad.networks.backbones import load_backbone
from variad.selection.recipe_scoring import RecipeCell, score_pool, score_table, synthetic_tests
from variad.selection.synthetic import SourceFiles
from variad.selection.trials import ImagePool

with job(snakemake) as at:
    given, params = snakemake.input, snakemake.params
    extractor = extractor_of(params.extractor, given.images)
    backbone = load_backbone(extractor.backbone, extractor.layers, extractor.weights, extractor.tiles).to(at.device)
    sources = [SourceFiles(*one) for one in zip(params.sources, given.anomalies, given.manifests, strict=True)]
    models = {RecipeCell(*cell): Path(path).parent for cell, path in zip(params.cells, given.models, strict=True)}
    shots = {
        scenario: read_shots(given.shots, scenario) for scenario in dict.fromkeys(cell.scenario for cell in models)
    }
    tables = []
    for run, members in read_support(given.support).items():
        if run >= params.runs:
            continue
        pool = ImagePool()
        tests = {
            scenario: synthetic_tests(pool, given.images, members, run, set(known[run]), sources, params.limit)
            for scenario, known in shots.items()
        }
        detectors = {
            cell: detector_class(params.method).load(folder / f"run_{run}.safetensors", at.device)
            for cell, folder in models.items()
        }
        tables.append(score_table(score_pool(detectors, pool.images, backbone, extractor, at.device), tests, run))
        at.log.info("run %d: %d images scored by %d detectors", run, len(pool.images), len(detectors))
    write_table(snakemake.output.scores, pd.concat(tables, ignore_index=True), "recipe_scores")
