# what recipes are made with


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


def choosing_extractor(wildcards):
    """The extractor whose patches say how alike photographs are."""
    return recipe_of(wildcards).get("extractor") or extractor_of({"detector": config["study"]["detectors"][0]})


def choice_settings(wildcards):
    """The keys of a recipe that say how its photographs are chosen."""
    recipe = recipe_of(wildcards)
    return {key: recipe[key] for key in ("score", "keep", "rounds") if key in recipe}


def split_of_candidates(wildcards):
    """Unlabelled images, or test images in a recipe whose name says so."""
    return "test" if recipe_of(wildcards).get("transductive") else "unlabelled"


def candidate_images(wildcards):
    return file_of(rules.pack_category.output.images, **wildcards, split=split_of_candidates(wildcards))


def candidate_features(wildcards):
    return choosing_features(wildcards, split_of_candidates(wildcards))


def shot_features(wildcards):
    return choosing_features(wildcards, "train")


def choosing_features(wildcards, split):
    """Features of the images of a split, which the detectors of the same extractor see, too."""
    extractor = choosing_extractor(wildcards)
    return file_of(rules.extract_features.output.features, **wildcards, split=split, extractor=extractor)
