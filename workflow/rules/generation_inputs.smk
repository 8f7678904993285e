# what recipes are made with
from variad.generation.settings import asks_for_turning


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
    return files_of_vqgan(recipe["vqgan"]) if recipe["method"] == "generate" else []


def turning_extractor():
    """The extractor whose patches say whether a product turns: that of the study's first detector."""
    return extractor_of({"detector": config["study"]["detectors"][0]})


def turning_of_recipe(wildcards):
    """Whether the product turns, for recipes that turn shots only then."""
    return rules.decide_turning.output.turning if asks_for_turning(recipe_of(wildcards)) else []


def turning_places(places=None):
    """The study's categories, or given ones, where a training set asks whether a product turns."""
    if not any(asks_for_turning(config["training_sets"][name]) for name in config["study"]["training_sets"]):
        return []
    return study_categories() if places is None else places
