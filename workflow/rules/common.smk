import copy
import functools
import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards

from variad.ablations.entries import (
    BASELINE,
    all_cells,
    cells_of,
    entries,
    training_sets_of,
)
from variad.code_inputs import library_files
from variad.configuration import merged, resolve
from variad.contents import retract_incomplete
from variad.datasets import CLASS_ADAPTERS, RENDERED_ADAPTERS
from variad.datasets.folder import category_folders
from variad.detectors import method_file
from variad.downloads.catalogue import (
    ARCHIVES,
    BESIDE,
    DATASET_FILES,
    DATASETS,
    WEIGHTS_FILES,
)
from variad.downloads.unpacking import lifted_folder
from variad.errors import UserError
from variad.exposure.settings import check_exposure, exposure_of
from variad.metrics.lpips_weights import find_lpips_backbone
from variad.recipe_choice.settings import check_recipes
from variad.selection.benchmark_names import CLASS_BENCHMARKS, DEFECT_BENCHMARKS
from variad.selection.methods import method_module
from variad.selection.settings import selection_categories, selection_of

DOWNLOADS = "resources/downloads"

# what the study's folders are called, from the data set down to a training set
CELL = "results/{dataset}/{category}/{scenario}/{training_set}"

# what the user asked for, which the default completes
GIVEN_CONFIG = copy.deepcopy(config)

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
    diffusion_model=one_of(config["diffusion_models"]),
    candidate_set=one_of(config["candidates"]),
    source=one_of(config["anomaly_sources"]),
    archive=one_of(DATASET_FILES),
    unpacked=one_of(ARCHIVES),
    weights_file=one_of(WEIGHTS_FILES),


def relative(path):
    """From the working directory, so that a moved folder is still up to date."""
    return os.path.relpath(path)


def code_of(rule_name):
    """The library files that a rule's script imports: an edit to one of them reruns the rule."""
    return [
        relative(path) for path in library_files(ROOT / "scripts" / f"{rule_name}.py")
    ]


@functools.cache
def code_from(file):
    """A file and the library files that it imports; looked up once, as a study asks a thousand times."""
    return [relative(path) for path in sorted({file, *library_files(file)})]


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
    return code_from(method_file(detector_of(wildcards)["method"]))


def trained_detector(wildcards):
    """The entry of a detector, with the folder of its penalty images where the config has an archive's name."""
    entry = detector_of(wildcards)
    archive = penalty_archive(entry)
    if archive is None:
        return entry
    penalty = {"penalty": f"{DOWNLOADS}/{archive}"}
    return {**entry, "settings": {**entry["settings"], **penalty}}


def penalty_archive(entry):
    penalty = entry["settings"].get("penalty")
    return penalty if entry["method"] == "efficientad" and penalty in ARCHIVES else None


def penalty_images(wildcards):
    """The list of the penalty images of EfficientAD that a rule unpacks."""
    archive = penalty_archive(detector_of(wildcards))
    return contents_of(archive) if archive else []


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
    return prompt_settings_of(wildcards.dataset)


def prompt_settings_of(dataset):
    return merged(config["prompts"], config["datasets"][dataset]["prompts"])


def file_of_package_or_user(path):
    """An input file that the config names, or nothing when it comes from a package or a hub."""
    if not path or not Path(path).suffix:
        return []
    # a download that is verified again is no news
    return ancient(path) if is_downloaded_weights(path) else str(path)


def is_downloaded_weights(path):
    folder, name = os.path.split(path)
    return folder == f"{DOWNLOADS}/weights" and name in WEIGHTS_FILES


def study_categories():
    return [
        (name, category)
        for name, dataset in config["datasets"].items()
        if dataset["in_study"]
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


def is_downloaded(dataset):
    """Whether a data set comes from its publisher: one of the catalogue's, with no copy on this machine."""
    return dataset["adapter"] in ARCHIVES and not dataset["path"]


def dataset_root(wildcards):
    """Folder of a data set's files that is an input: the user's, or one that a rule fills."""
    dataset = dataset_of(wildcards)
    if dataset["path"]:
        # a missing folder is the script's to report, in one sentence
        return local_copy(dataset) if Path(dataset["path"]).is_dir() else []
    if dataset["adapter"] in RENDERED_ADAPTERS:
        return f"{DOWNLOADS}/{wildcards.dataset}"
    return []


def local_copy(dataset):
    """The user's folder of a data set, or the one in it that the archive holds everything in."""
    path, source = dataset["path"], DATASETS.get(dataset["adapter"])
    return str(lifted_folder(Path(path), source)) if source else path


def dataset_path(wildcards):
    """Folder of a data set's files, there or not; None for data inside a package."""
    dataset = dataset_of(wildcards)
    return (
        f"{DOWNLOADS}/{dataset['adapter']}"
        if is_downloaded(dataset)
        else dataset["path"]
    )


def contents_of(archive):
    # unpacking the same archive again, after a change of code or environment, brings nothing new
    return ancient(f"{DOWNLOADS}/{archive}/contents.txt")


def dataset_contents(wildcards):
    """The list of an unpacked archive's files, for a data set that is downloaded."""
    dataset = dataset_of(wildcards)
    return contents_of(dataset["adapter"]) if is_downloaded(dataset) else []


def parts_of(wildcards):
    """An archive and the files that belong beside what is in it, by their names in the catalogue."""
    return [wildcards.unpacked, *BESIDE.get(wildcards.unpacked, ())]


def records_of_archive(wildcards):
    return [
        ancient(f"{DOWNLOADS}/archives/{DATASETS[name].file_name}.fetched.json")
        for name in parts_of(wildcards)
    ]


def mirror_of(name):
    """Where the config says that a download is in place of its publisher's address, and its hash there."""
    return config["downloads"]["sources"].get(name, {})


def mirror_of_archive(wildcards):
    return mirror_of(DATASET_FILES[wildcards.archive])


def mirrors_of_dataset(wildcards):
    return {name: mirror_of(name) for name in parts_of(wildcards)}


def mirror_of_weights(wildcards):
    return mirror_of(WEIGHTS_FILES[wildcards.weights_file])


def dataset_folders(wildcards):
    """The folders of a user's category, whose times change when images come or go."""
    dataset = dataset_of(wildcards)
    folders = (
        category_folders(local_copy(dataset), wildcards.category)
        if dataset["path"]
        else []
    )
    # Snakemake takes angle brackets in a path for one of its own variables
    return [folder for folder in folders if "<" not in str(folder)]


def adapter_code(wildcards):
    """The library files of a data set's adapter, which its scripts import by name."""
    file = (
        ROOT / "workflow/lib/variad/datasets" / f"{dataset_of(wildcards)['adapter']}.py"
    )
    return code_from(file) if file.is_file() else []


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
    return files_of_vqgan(recipe["vqgan"]) if recipe["method"] == "generate" else []


def files_of_vqgan(name):
    """Weights of a VQGAN, and the YAML beside an official checkpoint."""
    entry = config["vqgans"][name]
    files = [file_of_package_or_user(entry[key]) for key in ("weights", "config")]
    return [path for path in files if path]


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
    files = [path for name in sorted(vqgans) for path in files_of_vqgan(name)]
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


def source_of(wildcards):
    """A source of synthetic anomalies, with the folder of its unrelated images where the config has an archive's name."""
    source = config["anomaly_sources"][wildcards.source]
    if source["method"] != "unrelated":
        return source
    here, images = dataset_of(wildcards), source["images"]
    if images in (here["adapter"], here["path"]):
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.images: expected images of something other than "
            f"data set {wildcards.dataset}, found {images!r}."
        )
    return (
        {**source, "images": f"{DOWNLOADS}/{images}"} if images in ARCHIVES else source
    )


def unrelated_images(wildcards):
    """What a source of unrelated images draws from: a folder of the user's, or the list of an unpacked archive."""
    source = config["anomaly_sources"][wildcards.source]
    if source["method"] != "unrelated" or source["images"] == "photographs":
        return []
    if source["images"] in ARCHIVES:
        return contents_of(source["images"])
    return source["images"] if Path(source["images"]).is_dir() else []


def needs_diffusion(source):
    return source["method"] in ("style_mix", "text_edit")


def diffusion_model_of(wildcards):
    """Name of the diffusion model of a source; None for sources without."""
    source, models = (
        config["anomaly_sources"][wildcards.source],
        config["diffusion_models"],
    )
    if not needs_diffusion(source):
        return None
    if source["diffusion_model"] not in models:
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.diffusion_model: expected one of diffusion_models "
            f"({', '.join(models)}), found {source['diffusion_model']!r}."
        )
    return source["diffusion_model"]


def files_of_source(wildcards):
    """The files of a source that works in a diffusion model: its weights, the inversions, and learned directions."""
    model = diffusion_model_of(wildcards)
    if model is None:
        return {}
    here = f"results/{wildcards.dataset}/{wildcards.category}/anomalies"
    files = {
        "inversions": f"{here}/inversions/{model}.h5",
        "weights": file_of_package_or_user(
            config["diffusion_models"][model].get("weights")
        ),
    }
    if config["anomaly_sources"][wildcards.source]["method"] == "text_edit":
        files["direction"] = f"{here}/{wildcards.source}/direction.safetensors"
    return files


def inversion_settings(wildcards, key):
    """What the sources of a diffusion model say of its inversions, which they share."""
    values = {
        name: source[key]
        for name, source in config["anomaly_sources"].items()
        if needs_diffusion(source)
        and source["diffusion_model"] == wildcards.diffusion_model
    }
    if len(set(values.values())) != 1:
        raise WorkflowError(
            f"config key anomaly_sources: expected one {key} for all sources of {wildcards.diffusion_model}, whose "
            f"inversions they share, found {values}."
        )
    return next(iter(values.values()))


def encoder_of_source(wildcards):
    """Name of the image-text encoder of a source that learns directions."""
    encoder = config["anomaly_sources"][wildcards.source]["encoder"]
    if encoder not in config["encoders"]:
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.encoder: expected one of encoders "
            f"({', '.join(config['encoders'])}), found {encoder!r}."
        )
    return encoder


def support_counts(wildcards):
    """Numbers of images of each set of a run's support."""
    chosen = selection_of(config, wildcards.dataset)
    return {name: chosen[name] for name in ("bank", "seeds", "validation")}


def anomalies_of_sources(name):
    """A file of every anomaly source that choices are made with."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{wildcards.category}/anomalies/{source}/{name}"
        for source in selection_of(config, wildcards.dataset)["sources"]
    ]


def of_candidate_sets(name):
    """A file of every set of candidates, detectors before prompts."""

    def files(wildcards):
        chosen = selection_of(config, wildcards.dataset)
        here = f"results/{wildcards.dataset}/{wildcards.category}/selection"
        sets = [*chosen["candidates"], *chosen["templates"]]
        return [f"{here}/{candidate_set}/{name}" for candidate_set in sets]

    return files


def candidates_of(wildcards):
    return config["candidates"][wildcards.candidate_set]


def detectors_among(candidates):
    """Entries of the detectors of a candidate set, each with its extractor in place of its name."""
    entries = {}
    for name in candidates["detectors"] if candidates["method"] == "detectors" else []:
        entry = trained_detector(Wildcards(fromdict={"detector": name}))
        extractor = config["extractors"][entry["extractor"]]
        entries[name] = {**entry, "extractor": extractor}
    return entries


def around_candidates(wildcards):
    """What a set of candidates needs beside its own entry, and nothing that another method needs."""
    entry = candidates_of(wildcards)
    if entry["method"] == "detectors":
        return {"detectors": detectors_among(entry)}
    if entry["method"] == "templates":
        encoder = config["encoders"][entry["encoder"]]
        return {"encoder": encoder, "class_name": class_name(wildcards)}
    return {}


def weights_of_candidates(wildcards):
    """Weight files of a set of candidates that lie on this machine."""
    entry = candidates_of(wildcards)
    files = [file_of_package_or_user(entry["weights"])]
    files += [
        file_of_package_or_user(detector["extractor"]["weights"])
        for detector in detectors_among(entry).values()
    ]
    return [path for path in files if path]


def classes_of_candidates(wildcards):
    """The encoder's file of a set of prompts."""
    entry = candidates_of(wildcards)
    return encoder_files(entry["encoder"]) if entry["method"] == "templates" else []


def candidate_code(wildcards):
    """The library files of a set of candidates, which its scripts import by name."""
    entry = candidates_of(wildcards)
    files = [method_module(entry["method"])]
    files += [
        method_file(detector["method"]) for detector in detectors_among(entry).values()
    ]
    return sorted(
        {relative(path) for file in files for path in {file, *library_files(file)}}
    )


def benchmarks_of(wildcards):
    """The three of class tasks for data sets of classes, all defects together for the others, or what the config says."""
    chosen = selection_of(config, wildcards.dataset).get("benchmarks")
    if chosen:
        return chosen
    of_classes = dataset_of(wildcards)["adapter"] in CLASS_ADAPTERS
    return list(CLASS_BENCHMARKS if of_classes else DEFECT_BENCHMARKS)


# only the main process looks: a job on a cluster must not retract what another one is about to read
if workflow.is_main_process:
    check_results_folder()
    retract_incomplete(
        f"results/{dataset}/{category}" for dataset, category in study_categories()
    )
