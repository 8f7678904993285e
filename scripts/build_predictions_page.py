"""Adapter of rule build_predictions_page: predictions in; their page, its link in the gallery and a ranking out."""

from pathlib import Path

from variad.core.files import write_text
from variad.core.job import job
from variad.core.records import read_images, read_shots
from variad.core.tables import read_table
from variad.inspect.answers import Answers, HeldOutScores, drift
from variad.inspect.page import write_page
from variad.inspect.predictions import (
    GOOD_SHOWN,
    good_photographs,
    map_scale,
    page_entries,
    ranking,
    summary,
    write_prediction_link,
)
from variad.report.drawing import open_real_images

RUN = 0

with job(snakemake):
    given, out, params, names = snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards
    predictions, regions = read_table(given.predictions, "predictions"), read_table(given.regions, "regions")
    manifest, train = read_table(given.manifest, "manifest"), read_table(given.train_manifest, "manifest")
    held_out = HeldOutScores.from_table(read_table(given.held_out, "held_out_scores"))
    answers = Answers(held_out, (params.look, params.quantile))
    notes = [answers.promise(), drift(predictions["score"], held_out).sentence]

    shots = read_shots(given.shots, params.scenario)[RUN][:GOOD_SHOWN]
    pictures = read_images(given.train_images, shots)
    good = good_photographs(pictures, train.set_index("image_id").loc[shots])
    with open_real_images(given.images) as real:
        maps = Path(given.heatmaps).parent
        entries = list(page_entries(predictions, regions, manifest, real, maps, pictures))
    title = f"{names.dataset}/{names.category}"
    scale = map_scale(answers, [entry.values for entry in entries])
    write_page(out.page, f"{title}, predicted", entries, [f"{summary(predictions)}.", *notes], good=good, scale=scale)
    write_prediction_link(out.link, Path(out.page).name, f"Unlabelled, ranked: {summary(predictions)}")
    write_text(out.ranking, ranking(title, predictions, regions, [*notes, f"page: {out.page}"]))
