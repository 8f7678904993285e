"""Adapter of rule expose_outliers: support set, anomalies and test images in, distances to the support set out."""

import pandas as pd

from variad.core.job import job
from variad.core.records import read_images
from variad.core.tables import read_table, write_table
from variad.datasets.sampling import read_support
from variad.selection.exposure import ExposurePlan, RunImages, added_of_run, score_rows, score_run, support_views
from variad.selection.exposure_network import FineTuningSchedule, load_network
from variad.selection.settings import WITH_VIEWS
from variad.selection.synthetic import SourceFiles

with job(snakemake) as at:
    given, settings = snakemake.input, snakemake.params.exposure
    key = (snakemake.wildcards.dataset, snakemake.wildcards.category)
    tested = list(read_table(given.manifest, "manifest")["image_id"])
    network = load_network(
        settings["backbone"], settings["weights"], settings["trained_blocks"], settings["resolution"]
    ).to(at.device)
    schedule = FineTuningSchedule(settings["steps"], settings["batch_size"], settings["learning_rate"])
    plan = ExposurePlan(
        settings["sources"], settings["controls"], schedule, settings["views"], snakemake.params.seed, key,
        settings["neighbours"],
    )  # fmt: skip
    files = zip(settings["sources"], given.anomalies, given.anomaly_manifests, strict=True)
    sources = {name: SourceFiles(name, images, table) for name, images, table in files}
    test = network.activations(read_images(given.images, tested), at.device)
    tables = []
    for run, members in read_support(given.support).items():
        names = [*members.bank, *members.seeds]
        known, added = read_images(given.images, names), {}
        if given.get("added"):
            generated = added_of_run(given.added, run)
            views = support_views(known, len(generated), snakemake.params.seed, (*key, run))
            added = {f"with {settings['added']}": generated, WITH_VIEWS: views}
        images = RunImages(names, known, added)
        for variant, support, scores in score_run(network, run, images, test, sources, plan, at.device):
            tables.append(score_rows(run, tested, variant, support, scores))
    write_table(snakemake.output.scores, pd.concat(tables, ignore_index=True), "exposure_scores")
