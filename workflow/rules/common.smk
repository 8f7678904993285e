import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards

from variad.code_inputs import library_files
from variad.configuration import merged, resolve
from variad.contents import retract_incomplete
from variad.datasets.folder import category_folders
from variad.detectors import method_file
from variad.errors import UserError
from variad.metrics.lpips_weights import find_lpips_backbone

# what the study's folders are called, from the data set down to a training set
CELL = "results/{dataset}/{category}/{scenario}/{training_set}"

try:
    config.update(resolve(config, ROOT / "config" / "config.yaml"))
except UserError as error:
    raise WorkflowError(str(error)) from None


def one_of(names):
    return "|".join(re.escape(str(name)) for name in names)


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    category="[^/]+",
    scenario=one_of(config["scenarios"]),
    training_set=one_of(config["training_sets"]),
    detector=one_of(config["detectors"]),
    extractor=one_of(config["extractors"]),
    encoder=one_of(config["encoders"]),
    word_source="wordnet_related|wordnet_all|wordlist",
    vqgan=one_of(config["vqgans"]),
    teacher=one_of(config["teachers"]),


def relative(path):
    """From the working directory, so that a moved folder is still up to date."""
    return os.path.relpath(path)


def code_of(rule_name):
    """The library files that a rule's script imports: an edit to one of them reruns the rule."""
    return [
        relative(path) for path in library_files(ROOT / "scripts" / f"{rule_name}.py")
    ]


def check_results_folder():
    """Fail before any work where results cannot be written."""
    folder = next(
        path for path in (Path("results").absolute(), Path.cwd()) if path.exists()
    )
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise WorkflowError(
            f"{folder}: expected a folder that can be written to, found one that cannot."
        )


def dataset_of(wildcards):
    return config["datasets"][wildcards.dataset]


def category_of(wildcards):
    categories = dataset_of(wildcards)["categories"]
    if wildcards.category not in categories:
        raise WorkflowError(
            f"config key datasets.{wildcards.dataset}.categories: expected a category "
            f"'{wildcards.category}', found {', '.join(categories)}."
        )
    return categories[wildcards.category]


def class_name(wildcards):
    return category_of(wildcards)["class_name"]


def recipe_of(wildcards):
    return config["training_sets"][wildcards.training_set]


def detector_of(wildcards):
    return config["detectors"][wildcards.detector]


def layers_of(wildcards):
    """Those of the extractor's layers that a detector uses."""
    detector = detector_of(wildcards)
    return detector["layers"] or config["extractors"][detector["extractor"]]["layers"]


def detector_extractor(wildcards):
    """The extractor entry of a detector, with the layers that the detector uses."""
    entry = config["extractors"][detector_of(wildcards)["extractor"]]
    return {**entry, "layers": layers_of(wildcards)}


def detector_code(wildcards):
    """The library files of a detector, which its scripts import by name, or a user's own file."""
    file = method_file(detector_of(wildcards)["method"])
    return [relative(path) for path in sorted({file, *library_files(file)})]


def weights_of_detector(wildcards):
    """The weights of the network whose features a detector sees: EfficientAD runs it on views of its own."""
    entry = config["extractors"][detector_of(wildcards)["extractor"]]
    return file_of_package_or_user(entry["weights"])


def runs_of(wildcards):
    """How many runs of a scenario a detector sees: all of them unless ``study.only`` says fewer."""
    runs = config["scenarios"][wildcards.scenario]["runs"]
    return min(
        runs, config["study"]["only"].get(wildcards.detector, {}).get("runs", runs)
    )


def prompt_settings(wildcards):
    """The settings of the prompts section, with those of the data set in their place."""
    return merged(config["prompts"], dataset_of(wildcards)["prompts"])


def file_of_package_or_user(path):
    """An input file that the config names, or nothing when it comes from a package or a hub."""
    return str(path) if path and Path(path).suffix else []


def study_categories():
    return [
        (name, category)
        for name, dataset in config["datasets"].items()
        for category in dataset["categories"]
    ]


def study_training_sets():
    """(dataset, category, scenario, training set) of everything that the study compares."""
    return [
        (dataset, category, scenario, training_set)
        for dataset, category in study_categories()
        for scenario in config["study"]["scenarios"]
        for training_set in config["study"]["training_sets"]
    ]


def detectors_of(dataset, scenario, training_set):
    """The detectors that see a training set in a scenario: all but those that ``study.only`` keeps from it."""
    cell = {"datasets": dataset, "scenarios": scenario, "training_sets": training_set}
    only = config["study"]["only"]
    return [
        name
        for name in config["study"]["detectors"]
        if all(
            value in only.get(name, {}).get(key, [value]) for key, value in cell.items()
        )
    ]


def cells_of_category(wildcards):
    """Folders of the cells of one category."""
    return [
        f"results/{wildcards.dataset}/{wildcards.category}/{scenario}/{training_set}/{detector}"
        for scenario in config["study"]["scenarios"]
        for training_set in config["study"]["training_sets"]
        for detector in detectors_of(wildcards.dataset, scenario, training_set)
    ]


def extractors_of(detectors):
    return sorted({config["detectors"][name]["extractor"] for name in detectors})


def dataset_root(wildcards):
    """Folder of a data set's files: the user's, or one that a rule fills; nothing for data inside a package."""
    dataset = dataset_of(wildcards)
    if dataset["path"]:
        # a missing folder is the script's to report, in one sentence
        return dataset["path"] if Path(dataset["path"]).is_dir() else []
    if dataset["adapter"] == "textures":
        return f"resources/downloads/{wildcards.dataset}"
    return []


def dataset_folders(wildcards):
    """The folders of a user's category, whose times change when images come or go."""
    path = dataset_of(wildcards)["path"]
    folders = category_folders(path, wildcards.category) if path else []
    # Snakemake takes angle brackets in a path for one of its own variables
    return [folder for folder in folders if "<" not in str(folder)]


def adapter_code(wildcards):
    """The library files of a data set's adapter, which its scripts import by name."""
    file = (
        ROOT / "workflow/lib/variad/datasets" / f"{dataset_of(wildcards)['adapter']}.py"
    )
    return (
        [relative(path) for path in sorted({file, *library_files(file)})]
        if file.is_file()
        else []
    )


def category_groups():
    return {
        name: {
            key: value["group"]
            for key, value in dataset["categories"].items()
            if "group" in value
        }
        for name, dataset in config["datasets"].items()
    }


def encoder_files(encoder):
    """The file that an encoder needs: class names of ConSE, or a user's own open_clip weights."""
    entry = config["encoders"][encoder]
    if entry["kind"] == "conse":
        return rules.build_conse.output.classes
    return entry["weights"] if Path(entry["weights"] or "").is_file() else []


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
    if recipe["method"] != "generate":
        return []
    return file_of_package_or_user(config["vqgans"][recipe["vqgan"]]["weights"])


def extractor_of(wildcards):
    return config["extractors"][wildcards.extractor]


def extractor_weights(wildcards):
    return file_of_package_or_user(extractor_of(wildcards)["weights"])


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


def study_weights():
    """Weight files that the study's training sets and extractors are made with, for the record."""
    recipes = [
        config["training_sets"][name] for name in config["study"]["training_sets"]
    ]
    vqgans = {recipe["vqgan"] for recipe in recipes if recipe["method"] == "generate"}
    encoders = {recipe["encoder"] for recipe in recipes if is_guided(recipe)}
    extractors = extractors_of(config["study"]["detectors"])
    files = [
        file_of_package_or_user(config["vqgans"][name]["weights"])
        for name in sorted(vqgans)
    ]
    files += [encoder_files(name) for name in sorted(encoders)]
    files += [
        file_of_package_or_user(config["extractors"][name]["weights"])
        for name in extractors
    ]
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


# only the main process looks: a job on a cluster must not retract what another one is about to read
if workflow.is_main_process:
    check_results_folder()
    retract_incomplete(
        f"results/{dataset}/{category}" for dataset, category in study_categories()
    )
