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
