"""Adapter of rule build_training_set: shots in, added images out.

What needs torch is imported where it is used: loading it takes longer than repeating a few images.
"""

from variad.core.job import job
from variad.core.records import image_side, read_images, read_shots, read_training_ids
from variad.generation.added import Chunks, duplicate, no_images, write_added
from variad.generation.settings import Turning, requests, turns_of, unseen

with job(snakemake) as at:
    given, recipe = snakemake.input, snakemake.params.recipe
    names = snakemake.wildcards
    shots = read_shots(given.shots, names.scenario)
    key = (names.dataset, names.category, names.scenario, names.training_set)
    per_shot = 0 if recipe["method"] == "none" else recipe["images_per_shot"][names.scenario]
    wanted = requests(shots, per_shot, snakemake.params.seed, key)
    if recipe["method"] == "real":
        wanted = unseen(wanted, shots, read_training_ids(given.shots), snakemake.params.seed, key)
    if given.turning and not (found := Turning.read(given.turning)).turns:
        at.log.info("%s", found.sentence)
        wanted = []
    parents = read_images(given.images, [request.parent for request in wanted])
    if not wanted:
        added = no_images(image_side(given.images))
    elif recipe["method"] in ("duplicate", "real"):
        added = duplicate(parents, wanted)
    elif recipe["method"] == "augment":
        from variad.generation.strategies import augment

        added = augment(parents, wanted, recipe["strategy"], turns_of(recipe))
    else:
        from variad.generation.engine import PromptFiles, build_generated

        prompts = PromptFiles(given.get("prompt"), given.get("texts"), given.get("encoder"))
        added = build_generated(
            parents, wanted, recipe, snakemake.params.vqgan, snakemake.params.encoder, prompts,
            snakemake.output.images, at.device, at.memory,
        )  # fmt: skip
    at.log.info("%d images added, %d of them accepted", len(added.images), added.accepted.sum())
    write_added(snakemake.output.images, added, recipe)
    Chunks(snakemake.output.images, "").clear()
