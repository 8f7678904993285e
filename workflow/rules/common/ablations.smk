# what the config section `ablations` compares


def ablation(name):
    """An entry of the config section ``ablations``; those of ``maps`` by their figure."""
    found = dict(entries(config["ablations"]))
    if name not in found:
        raise WorkflowError(
            f"config key ablations: expected an entry '{name}', found {', '.join(found) or 'none'}."
        )
    return found[name]


def files_of_ablation(name, file):
    """A file of every cell that an entry of ``ablations`` compares, in the order of its cells."""
    return [
        f"{cell.folder}/{file}" for cell in cells_of(ablation(name), config["datasets"])
    ]


def names_of_ablation(name):
    """What names the cells of an entry of ``ablations``, in their order."""
    return [vars(cell) for cell in cells_of(ablation(name), config["datasets"])]


def prompts_of_ablation(wildcards):
    """Best and worst prompts of the categories of table 4."""
    entry = ablation("prompts")
    encoder = entry["encoder"] or prompt_settings_of(entry["dataset"])["encoder"]
    source = prompt_settings_of(entry["dataset"])["word_source"]
    return [
        f"results/{entry['dataset']}/{category}/{entry['scenario']}/prompts/{encoder}.{source}.json"
        for category in entry["categories"]
    ]


def images_of_forms(file):
    """A file of every training set of table 16, category by category."""
    entry = ablation("variance_forms")
    return [
        f"results/{entry['dataset']}/{category}/{entry['scenario']}/{training_set}/{file}"
        for category in entry["categories"]
        for training_set in training_sets_of(entry)
    ]


def added_of_counts(wildcards):
    """The added images of every training set of figure 18, in the order of its cells."""
    cells = cells_of(ablation("counts"), config["datasets"])
    return [f"{cell.training_set_folder}/added.h5" for cell in cells]


def iterations_of_ablation(wildcards):
    """Guided iterations by training set, for figure 15."""
    return {
        name: config["training_sets"][name]["iterations"]
        for name in training_sets_of(ablation("iterations"))
    }


def most_guided(wildcards):
    """The added images of the training set of figure 15 with the most iterations, whose steps are shown."""
    iterations = iterations_of_ablation(wildcards)
    chosen = max(iterations, key=iterations.get)
    entry = {**ablation("iterations"), "training_set": chosen}
    return f"{CELL.format(**entry)}/added.h5"


def tsne_input(wildcards):
    """Features of real and added images of figure 12, and what these images are."""
    entry = ablation("tsne")
    here = f"results/{entry['dataset']}/{entry['category']}"
    added = f"{here}/{entry['scenario']}/{entry['training_set']}"
    extractor = config["detectors"][entry["detector"]]["extractor"]
    return {
        "manifest": f"{here}/manifest.csv",
        "features": f"{here}/features/{extractor}.h5",
        "added": f"{added}/added.h5",
        "added_features": f"{added}/features/{extractor}.h5",
    }
