import copy
import functools
import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.io import _IOFile
from snakemake.iocontainers import Wildcards

from variad.core.errors import UserError
from variad.core.files import incomplete_lists
from variad.core.provenance import library_files
from variad.datasets.adapters import CLASS_ADAPTERS, RENDERED_ADAPTERS, adapter_file
from variad.datasets.folders import category_folders
from variad.detectors.interface import method_file
from variad.downloads.catalogue import (
    ARCHIVES,
    BESIDE,
    DATASET_FILES,
    DATASETS,
    WEIGHTS_FILES,
    find_lpips_backbone,
)
from variad.downloads.sources import lifted_folder
from variad.paper.ablation_entries import (
    BASELINE,
    all_cells,
    cells_of,
    entries,
    training_sets_of,
)
from variad.selection.settings import (
    CLASS_BENCHMARKS,
    DEFECT_BENCHMARKS,
    check_exposure,
    check_recipes,
    exposure_of,
    method_module,
    selection_categories,
    selection_of,
)
from variad.study.configuration import merged, resolve
from variad.study.references import check_predict

DOWNLOADS = "resources/downloads"
PENALTIES = ("photographs", "none")  # of EfficientAD, that need no folder

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
    category="[^/.][^/]*",  # no name that leads out of its folder, wherever it comes from
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
    entry = detector_of(wildcards)
    archive, folder = penalty_archive(entry), entry["settings"].get("penalty")
    named = entry["method"] == "efficientad" and folder not in (None, *PENALTIES)
    if named and not archive and not Path(folder).is_dir():
        raise WorkflowError(
            f"config key detectors.{wildcards.detector}.settings.penalty: expected {', '.join(PENALTIES)}, "
            f"imagenette or a folder with images, found '{folder}'."
        )
    return contents_of(archive) if archive else []


def weights_of_detector(wildcards):
    """The weights of the network whose features a detector sees: EfficientAD runs it on views of its own."""
    return files_of_extractor(detector_of(wildcards)["extractor"])


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


def file_of_package_or_user(path, key):
    """An input file that the config names under a key, or nothing when it comes from a package or a hub."""
    if not path or not Path(path).suffix:
        return []
    # a download that is verified again is no news
    return ancient(path) if is_downloaded_weights(path) else named_file(path, key)


def named_file(path, key):
    """A file that the config names under a key, unless it is missing and lies where no rule makes any."""
    parts = Path(path).parts
    made = parts[:1] == ("results",) or parts[:2] == ("resources", "downloads")
    if not made and not Path(path).exists():
        raise WorkflowError(
            f"config key {key}: expected a file, found none at '{path}'."
        )
    return str(path)


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


def draws_of_study(wildcards):
    """Rows of every category's table with their bootstrap draws."""
    if not study_categories():
        raise WorkflowError(
            "config key datasets: expected a data set of the study, found none; set in_study to true for one."
        )
    return [
        f"results/tables/{dataset}/{category}.bootstrap.h5"
        for dataset, category in study_categories()
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
    return [
        name
        for name in config["study"]["detectors"]
        if all(is_seen(name, key, value) for key, value in cell.items())
    ]


def is_seen(detector, key, value):
    """Whether ``study.only`` lets a detector see one of the ``datasets``, ``scenarios`` or ``training_sets``."""
    return value in config["study"]["only"].get(detector, {}).get(key, [value])


def training_sets_seen_by(detector):
    """The study's training sets that a detector sees, the same in every data set and scenario."""
    names = config["study"]["training_sets"]
    return [name for name in names if is_seen(detector, "training_sets", name)]


def of_detector(pattern, detector):
    """A file of every cell that a detector has in a scenario."""
    names = training_sets_seen_by(detector)
    return expand(pattern, training_set=names, detector=detector, allow_missing=True)


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


def category_groups():
    return {
        name: {
            key: value["group"]
            for key, value in dataset["categories"].items()
            if "group" in value
        }
        for name, dataset in config["datasets"].items()
    }


def take_for_missing(lists):
    """Have Snakemake take lists of folders that lack a file for missing, each until a job writes it anew.

    Nothing is deleted: this file is read for a dry run too, and `onstart` comes after the DAG was built.
    """
    written = {str(path): path.stat().st_mtime_ns for path in lists}
    exists_local = _IOFile.exists_local

    async def exists_whole(file):
        there, time = await exists_local(file), written.get(str(file))
        return there and (time is None or os.stat(file).st_mtime_ns != time)

    if written:
        _IOFile.exists_local = exists_whole


def result_folders():
    """The folders of every category, and the pages of the gallery."""
    return [
        folder
        for dataset, entry in config["datasets"].items()
        for category in entry["categories"]
        for folder in (
            f"results/{dataset}/{category}",
            f"results/gallery/{dataset}/{category}",
        )
    ]


# only the main process looks: to a job on a cluster, what another one is about to make anew is no business of its own
if workflow.is_main_process:
    check_results_folder()
    take_for_missing(incomplete_lists(result_folders()))
