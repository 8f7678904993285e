"""Adapter of rule choose_unlabelled: candidates and shots in, the candidates' scores and which are kept out."""

from functools import partial

from variad.core.job import job
from variad.core.records import read_shots
from variad.core.tables import read_table, write_table
from variad.generation.settings import Turning
from variad.generation.unlabelled import STRANGE, choice_sentence
from variad.selection.unlabelled import FEWEST, ChoiceFiles, ChoiceSettings, choose_unlabelled

with job(snakemake) as at:
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    turned = None
    if params.turns == "always" or (given.get("turning") and Turning.read(given.turning).turns):
        from variad.detectors.training import extractor_of
        from variad.networks.backbones import load_backbone
        from variad.selection.fitted_detectors import extract
        from variad.selection.turning import features_of_turned

        extractor = extractor_of(params.extractor, given.images)
        given_to = (extractor.backbone, extractor.layers, extractor.weights, extractor.tiles)
        backbone = load_backbone(*given_to).to(at.device)
        turned = partial(features_of_turned, embed=lambda images: extract(backbone, images, extractor, at.device))
        at.log.info("the product turns: compared with turned photographs, too")
    chosen = choose_unlabelled(
        read_table(given.pool, "pool"),
        read_shots(given.shots, names.scenario),
        ChoiceFiles(given.images, given.features, given.shot_images, given.shot_features),
        ChoiceSettings(**params.settings),
        seed=params.seed,
        key=(names.dataset, names.category),
        device=at.device,
        turned=turned,
    )
    write_table(snakemake.output.chosen, chosen, "chosen")
    place = f"{names.dataset}/{names.category}/{names.scenario}/{names.training_set}"
    if chosen["strangeness"].median() >= STRANGE:
        at.warn(f"{place}: {choice_sentence(chosen)}")
    runs = dict(list(chosen.groupby("run")))
    none = [part for part in runs.values() if not part["kept"].any()]
    if none:
        at.warn(
            f"{place}: none of {len(none[0])} unlabelled photographs is taken; {FEWEST} different ones are the fewest "
            "that tell good from bad (`keep: 1` takes them)."
        )
    for run, part in runs.items():
        at.log.info("run %d: %d of %d kept, up to %.6g", run, part["kept"].sum(), len(part), part["cut"].iloc[0])
