# what recipes, encoders and extractors are made with


def encoder_files(encoder):
    """The file that an encoder needs: class names of ConSE, or a user's own open_clip weights."""
    entry = config["encoders"][encoder]
    if entry["kind"] == "conse":
        return rules.build_conse.output.classes
    # open_clip's tags of published weights are no paths
    if Path(entry["weights"]).suffix in (".safetensors", ".pt", ".bin"):
        return named_file(entry["weights"], f"encoders.{encoder}.weights")
    return entry["weights"] if Path(entry["weights"]).is_file() else []


def prompt_of_recipe(wildcards):
    """Prompts and their embeddings, for recipes that are guided by text."""
    recipe = recipe_of(wildcards)
    if not is_guided(recipe):
        return {}
    category = f"results/{wildcards.dataset}/{wildcards.category}"
    stem = prompt_stem(wildcards.dataset, wildcards.training_set)
    return {
        "prompt": f"{category}/{wildcards.scenario}/prompts/{stem}.json",
        "texts": f"{category}/texts/{stem}.h5",
        "encoder": encoder_files(recipe["encoder"]),
    }


def weights_of_recipe(wildcards):
    recipe = recipe_of(wildcards)
    return files_of_vqgan(recipe["vqgan"]) if recipe["method"] == "generate" else []


def files_of_vqgan(name):
    """Weights of a VQGAN, and the YAML beside an official checkpoint."""
    entry = config["vqgans"][name]
    files = [
        file_of_package_or_user(entry[key], f"vqgans.{name}.{key}")
        for key in ("weights", "config")
    ]
    return [path for path in files if path]


def extractor_of(wildcards):
    return config["extractors"][wildcards.extractor]


def extractor_weights(wildcards):
    return files_of_extractor(wildcards.extractor)


def files_of_extractor(name):
    return file_of_package_or_user(
        config["extractors"][name]["weights"], f"extractors.{name}.weights"
    )


def files_of_diffusion_model(name):
    return file_of_package_or_user(
        config["diffusion_models"][name]["weights"], f"diffusion_models.{name}.weights"
    )


def wordlist_of(wildcards):
    """The user's list of words, for prompts that are made of one."""
    if wildcards.word_source != "wordlist":
        return []
    own = "wordlist" in dataset_of(wildcards)["prompts"]
    key = f"datasets.{wildcards.dataset}.prompts" if own else "prompts"
    return named_file(prompt_settings(wildcards)["wordlist"], f"{key}.wordlist")


def features_of_real_images(wildcards):
    extractor = detector_of(wildcards)["extractor"]
    return f"results/{wildcards.dataset}/{wildcards.category}/features/{extractor}.h5"


def features_of_added_images(wildcards):
    """Nothing for recipes that add no images."""
    if recipe_of(wildcards)["method"] == "none":
        return []
    extractor = detector_of(wildcards)["extractor"]
    return f"{CELL.format(**wildcards)}/features/{extractor}.h5"


def spread_extractor():
    """The extractor whose features say how varied added images are: that of the study's first detector."""
    return config["detectors"][config["study"]["detectors"][0]]["extractor"]


def lpips_weights(wildcards):
    """The backbone of LPIPS where it is on this machine; without it the column stays empty."""
    return find_lpips_backbone("resources/downloads") or []


def study_weights(wildcards):
    """Weight files that the study's training sets and extractors are made with, for the record."""
    recipes = [
        config["training_sets"][name] for name in config["study"]["training_sets"]
    ]
    vqgans = {recipe["vqgan"] for recipe in recipes if recipe["method"] == "generate"}
    encoders = {recipe["encoder"] for recipe in recipes if is_guided(recipe)}
    extractors = extractors_of(config["study"]["detectors"])
    files = [path for name in sorted(vqgans) for path in files_of_vqgan(name)]
    files += [encoder_files(name) for name in sorted(encoders)]
    files += [files_of_extractor(name) for name in extractors]
    return [path for path in files if path]


def is_guided(recipe):
    """Whether a text has any influence on a recipe's images."""
    return (
        recipe["method"] == "generate"
        and recipe["guidance"] > 0
        and recipe["iterations"] > 0
    )


def prompt_stem(dataset, training_set):
    """Encoder and word source, as the names of prompt files have them."""
    settings = merged(config["prompts"], config["datasets"][dataset]["prompts"])
    return (
        f"{config['training_sets'][training_set]['encoder']}.{settings['word_source']}"
    )
