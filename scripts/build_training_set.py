"""Adapter of rule build_training_set: shots in, added images out.

What needs torch is imported where it is used: loading it takes longer than repeating a few images.
"""

from variad.core.job import job
from variad.core.records import image_side, read_images, read_shots, read_training_ids
from variad.core.tables import read_table
from variad.generation.added import Chunks, duplicate, no_images, write_added
from variad.generation.settings import (
    Turning,
    as_many_as_pool,
    images_per_parent,
    made_by,
    requests,
    takes_unlabelled,
    turns_of,
    unseen,
)
from variad.generation.unlabelled import chosen_images, joined, with_chosen

with job(snakemake) as at:
    given, recipe = snakemake.input, snakemake.params.recipe
    names = snakemake.wildcards
    shots = read_shots(given.shots, names.scenario)
    key = (names.dataset, names.category, names.scenario, names.training_set)
    files, origins, chosen, maker = [given.images], shots, None, made_by(recipe)
    if takes_unlabelled(recipe):
        files.append(given.candidates)
        chosen = read_table(given.chosen, "chosen")
        origins = with_chosen(shots, chosen)
        if chosen.empty:
            left = "only the shots are trained on" if maker == "none" else "images are made of the shots alone"
            at.warn(f"{'/'.join(key)}: no unlabelled photographs to choose from, {left}.")
    each = images_per_parent(recipe, names.scenario)
    if snakemake.params.as_pool:
        each = as_many_as_pool(snakemake.params.as_pool, shots, read_training_ids(given.shots))
    wanted = requests(origins, each, snakemake.params.seed, key)
    if maker == "real":
        wanted = unseen(wanted, shots, read_training_ids(given.shots), snakemake.params.seed, key)
    if given.turning and not (found := Turning.read(given.turning)).turns:
        at.log.info("%s", found.sentence)
        wanted = []
    parents = read_images(files, [request.parent for request in wanted])
    if not wanted:
        added = no_images(image_side(given.images))
    elif maker in ("duplicate", "real"):
        added = duplicate(parents, wanted)
    elif maker == "augment":
        from variad.generation.strategies import augment

        added = augment(parents, wanted, recipe["strategy"], turns_of(recipe))
    else:
        from variad.generation.engine import PromptFiles, build_generated

        prompts = PromptFiles(given.get("prompt"), given.get("texts"), given.get("encoder"))
        added = build_generated(
            parents, wanted, recipe, snakemake.params.vqgan, snakemake.params.encoder, prompts,
            snakemake.output.images, at.device, at.memory,
        )  # fmt: skip
    if chosen is not None:
        added = joined(chosen_images(given.candidates, chosen), added)
    at.log.info("%d images added, %d of them accepted", len(added.run), added.accepted.sum())
    write_added(snakemake.output.images, added, recipe)
    Chunks(snakemake.output.images, "").clear()
