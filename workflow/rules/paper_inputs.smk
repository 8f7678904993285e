# what the config section `ablations` compares
from variad.paper.ablation_entries import all_cells, cells_of, entries, training_sets_of


def published(path, caption="ablation"):
    """A file of the report's part that has our values beside the published ones."""
    if isinstance(path, list):
        return [published(one, caption) for one in path]
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=IN_REPORT["published"],
        labels=labelled(path.rpartition("/")[2], kind_of(path)),
    )


def ablation(name):
    """An entry of the config section ``ablations``; those of ``maps`` by their figure."""
    found = dict(entries(config["ablations"]))
    if name not in found:
        raise WorkflowError(f"config key ablations: expected an entry '{name}', found {', '.join(found) or 'none'}.")
    return found[name]


def ablation_cells(name):
    """The cells that an entry of ``ablations`` compares, in their order."""
    return [vars(cell) for cell in cells_of(ablation(name), config["datasets"])]


def of_ablation(name, pattern):
    """An output of a rule for every cell that an entry compares; names may hold wildcards of the rule that asks."""
    return lambda wildcards: files_of(ablation_cells(name.format(**wildcards)), pattern)


def ablation_categories(name):
    """The categories of an entry."""
    entry = ablation(name)
    return [as_place(entry["dataset"], category) for category in entry["categories"]]


def ablation_prompts():
    """Prompts of the categories of table 4."""
    entry = ablation("prompts")
    encoder = entry["encoder"] or prompt_settings(entry["dataset"])["encoder"]
    return [prompts_of({**place, "scenario": entry["scenario"]}, encoder) for place in ablation_categories("prompts")]


def variance_forms():
    """The training sets of table 16, category by category."""
    entry = ablation("variance_forms")
    return [
        {**place, "scenario": entry["scenario"], "training_set": training_set}
        for place in ablation_categories("variance_forms")
        for training_set in training_sets_of(entry)
    ]


def settings_of_ablation(name, setting):
    """A setting of the training sets that an entry compares, by training set."""
    return {
        training_set: config["training_sets"][training_set][setting]
        for training_set in training_sets_of(ablation(name))
    }


def most_guided(wildcards):
    """The added images of the training set of figure 15 with the most iterations, whose steps are shown."""
    iterations = settings_of_ablation("iterations", "iterations")
    place = {**ablation("iterations"), "training_set": max(iterations, key=iterations.get)}
    return file_of(rules.build_training_set.output.images, **place)


def tsne_input(wildcards):
    """Features of real and added images of figure 12, and what these images are."""
    place = {**ablation("tsne"), "extractor": extractor_of(ablation("tsne"))}
    splits = [{**place, "split": split} for split in ("train", "test")]
    return {
        "manifests": files_of(splits, rules.index_category.output.manifest),
        "features": files_of(splits, rules.extract_features.output.features),
        "added": file_of(rules.build_training_set.output.images, **place),
        "weights": weights_of("extractors", place["extractor"]),
    }
