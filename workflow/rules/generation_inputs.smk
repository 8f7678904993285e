# what recipes are made with
from variad.generation.settings import asks_for_turning, made_by, needs_turning, takes_unlabelled, turns_candidates
from variad.study.references import check_pool


def prompt_of_recipe(wildcards):
    """Prompts and their embeddings, for recipes that are guided by text."""
    recipe = recipe_of(wildcards)
    if not is_guided(recipe):
        return {}
    prompts = prompts_of(dict(wildcards.items()), recipe["encoder"])
    return {
        "prompt": file_of(rules.score_prompts.output.choice, **prompts),
        "texts": file_of(rules.embed_candidates.output.texts, **prompts),
        "encoder": encoder_files(recipe["encoder"]),
    }


def weights_of_recipe(wildcards):
    recipe = recipe_of(wildcards)
    return files_of_vqgan(recipe["vqgan"]) if made_by(recipe) == "generate" else []


def good_of_pool(wildcards):
    """How many good images the data set's pool has, for a ceiling of as many; 0 for other recipes."""
    checked(lambda config: check_pool(config, wildcards.training_set, wildcards.dataset))
    return dataset_of(wildcards)["pool"]["good"] if recipe_of(wildcards).get("as_pool") else 0


def candidate_splits(recipe):
    """The split that a recipe's photographs are chosen from, in a list; none for a recipe that chooses none."""
    if not takes_unlabelled(recipe):
        return []
    return ["test" if recipe.get("transductive") else "unlabelled"]


def seen_by_choice(wildcards):
    """Shots, images of candidates and shots, which know copies, and features of both; no label is among them.

    Where the product may turn, the answer, and the network that turned images go through.
    """
    place, recipe = dict(wildcards.items()), recipe_of(wildcards)
    (split,) = candidate_splits(recipe)
    features = {
        name: file_of(rules.extract_features.output.features, **place, split=of, extractor=choosing_extractor(recipe))
        for name, of in (("features", split), ("shot_features", "train"))
    }
    images = {
        name: file_of(rules.pack_category.output.images, **place, split=of)
        for name, of in (("images", split), ("shot_images", "train"))
    }
    turned, turns = {}, turns_candidates(recipe)
    if turns != "never":
        turned["weights"] = weights_of("extractors", choosing_extractor(recipe))
    if turns == "auto":
        turned["turning"] = file_of(rules.decide_turning.output.turning, **place)
    return {"shots": file_of(rules.sample_shots.output.shots, **place), **images, **features, **turned}


def choosing_extractor(recipe):
    """The extractor whose patches say how alike photographs are."""
    return recipe.get("extractor") or extractor_of({"detector": config["study"]["detectors"][0]})


def choice_settings(wildcards):
    """The keys of a recipe that say how its photographs are chosen."""
    recipe = recipe_of(wildcards)
    return {key: recipe[key] for key in ("score", "keep", "rounds") if key in recipe}


def chosen_of_recipe(wildcards):
    """Which photographs were chosen, and the images of all candidates, for recipes that take some."""
    splits = candidate_splits(recipe_of(wildcards))
    if not splits:
        return {}
    place = dict(wildcards.items())
    candidates = file_of(rules.pack_category.output.images, **place, split=splits[0])
    return {"chosen": file_of(rules.choose_unlabelled.output.chosen, **place), "candidates": candidates}


def sets_beside_each_other(wildcards):
    """The study's training sets in a category and a scenario."""
    return study_training_sets([place_of(wildcards)], [wildcards.scenario])


def parent_splits(*training_sets):
    """The splits that images of training sets are made of: shots, and the photographs that some of them choose."""
    chosen = [candidate_splits(config["training_sets"][name]) for name in training_sets]
    return unique(["train", *(split for splits in chosen for split in splits)])


def study_splits():
    """The splits that the study's figures rest on, those of chosen photographs among them."""
    return unique(["train", "test", *parent_splits(*config["study"]["training_sets"])])


def parent_images(wildcards):
    """The packed images of a training set's parents; those of all of the study's where there is no such wildcard."""
    names = config["study"]["training_sets"]
    place = dict(wildcards.items())
    splits = parent_splits(*([place["training_set"]] if "training_set" in place else names))
    return files_of(in_splits([place], splits), rules.pack_category.output.images)


def turning_extractor():
    """The extractor whose patches say whether a product turns: that of the study's first detector."""
    return extractor_of({"detector": config["study"]["detectors"][0]})


def pools_of_turning(wildcards):
    """What recipes of the study, and of predictions, may choose from, in the scenario with the most runs: piles are nested.

    Where none of them chooses unlabelled photographs, those that turn shots have a list too: all but what somebody objects to.
    """
    recipes, place = config["training_sets"], place_of(wildcards)
    scenario = max(config["study"]["scenarios"], key=lambda name: config["scenarios"][name]["runs"])
    # a category may have no images for what the study makes in others alone
    named = [made["training_set"] for made in study_training_sets([place], [scenario])] + [
        config["predict"]["training_set"]
    ]
    for names in ([name for name in unique(named) if name in recipes], list(recipes)):
        choosing = [name for name in names if candidate_splits(recipes[name]) == ["unlabelled"]]
        asking = choosing or [name for name in names if asks_for_turning(recipes[name])]
        if asking:
            break
    return expand(rules.draw_pool.output.pool, training_set=asking, scenario=scenario, **place)


def turning_of_recipe(wildcards):
    """Whether the product turns, for recipes that turn shots only then."""
    return rules.decide_turning.output.turning if asks_for_turning(recipe_of(wildcards)) else []


def turning_places(places=None):
    """The study's categories, or given ones, where a training set asks whether a product turns."""
    recipes = [config["training_sets"][name] for name in config["study"]["training_sets"]]
    if not any(map(needs_turning, recipes)):
        return []
    return study_categories() if places is None else places
