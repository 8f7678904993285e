# what every other file of rules uses: the config, the wildcards, the places that the study has files for, and what rules share
import copy
import functools
import os
import re

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile, _IOFile
from snakemake.persistence import FileBackupMixin
from snakemake.rules import RuleProxy

from variad.core.checksums import damages_of
from variad.core.devices import gpu_is_there
from variad.core.errors import UserError
from variad.core.files import CONTENTS, checksums_path, incomplete_lists, listed_names
from variad.core.private_apis import (
    carry_listed_files,
    complete_rule,
    given_options,
    own_rules,
    prefix_of_module,
    restore_as_out_of_date,
    store_what_rules_make,
    take_for_missing,
)
from variad.core.provenance import library_files
from variad.core.temporaries import clear_leftovers, clear_scripts
from variad.datasets.adapters import SPLITS
from variad.downloads.catalogue import ARCHIVES, DATASET_FILES, DOWNLOADS, WEIGHTS_FILES
from variad.study.configuration import merged, resolve
from variad.study.references import part_of

# not below ROOT where Snakemake has fetched them from a host of repositories
RULES = workflow.current_basedir.get_path_or_uri(secret_free=True)

# what the user asked for, which the default completes
GIVEN_CONFIG = copy.deepcopy(config)

try:
    config.update(resolve(config, ROOT / "config" / "config.yaml"))
except UserError as error:
    raise WorkflowError(str(error)) from None

# nothing that any part of a study finds depends on it, so no job is told
PART = config.pop("part", None)


# what a module's user has put before the paths of its rules: before that of no file which is there without them
PREFIX = prefix_of_module(workflow)


# whether --default-storage-provider keeps what rules make
STORED = store_what_rules_make(workflow, RuleProxy, IOFile, ("results", DOWNLOADS))
if STORED and PREFIX:
    raise WorkflowError(f"--default-storage-provider: expected a module without prefix, found the prefix '{PREFIX}'.")
if STORED:
    carry_listed_files(
        _IOFile, CONTENTS, listed_names, forget=lambda path: checksums_path(path).unlink(missing_ok=True)
    )

    def update(path):
        """Made anew: Snakemake 9.27 does not fetch from a storage what a job is to update, and finds nothing to keep."""
        return path


# the parts of the report, which sorts them by name
TITLES = {
    "results": "Result",
    "maps": "Anomaly maps",
    "added": "Added images",
    "cost": "Cost",
    "selection": "Selection",
    "exposure": "Outlier exposure",
    "published": "Published values",
}
IN_REPORT = {part: f"{number}. {title}" for number, (part, title) in enumerate(TITLES.items(), start=1)}


def labelled(what, kind):
    """Labels of one of the report's results; all of a part have the same ones, as it lists paths otherwise."""
    return {"what": what, "kind": kind}


def kind_of(path):
    """What a person gets who clicks on a file in the report."""
    return "figure" if path.endswith((".svg", ".png", ".jpg")) else "table to download"


def as_it_is(path):
    """A file's path from the working directory, so that a moved folder is still up to date; no prefix is put before it."""
    path = os.path.relpath(path)
    return os.path.join("..", Path.cwd().name, path) if PREFIX and not path.startswith("..") else path


def find_shipped(section):
    """Take weights that ship with the workflow from there, where the folder that it runs in has none of that name."""
    for entry in config[section].values():
        for key, value in entry.items():
            shipped = ROOT / value if isinstance(value, str) and value.startswith("resources/") else None
            if shipped is not None and shipped.is_file() and not Path(value).exists():
                entry[key] = as_it_is(shipped)


for section in ("vqgans", "encoders", "extractors", "diffusion_models"):
    find_shipped(section)


def one_of(names):
    return "|".join(re.escape(str(name)) for name in names)


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    category="[^/.][^/]*",  # no name that leads out of its folder, wherever it comes from
    split=one_of(SPLITS),
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


def complete_rules():
    """Log, benchmark, the code that it runs and memory for every rule with a script, where its own text says none.

    Log and benchmark are called after the rule, and within its folder after the wildcards. Called once, after the last
    rule. Threads are Snakemake's default everywhere, one: sums depend on their number.
    """
    for name, of_ours in own_rules(workflow, RULES):
        complete_rule(
            of_ours,
            log=f"results/logs/{name}",
            benchmark=f"results/benchmarks/{name}",
            code=code_of(Path(of_ours.script).stem),
            **job(1000),
        )


def job(megabytes):
    """Resources of a job whose memory grows with every attempt."""
    return {"mem_mb": lambda wildcards, attempt: megabytes * attempt}


def gpu_job(megabytes, gpu_megabytes=0):
    """Likewise, with the GPU that the config may give to jobs: all of it, or a part of its memory beside other jobs."""
    shared = {"gpu_mb": lambda wildcards, attempt: gpu_megabytes * attempt} if gpu_megabytes else {}
    return {"gpu": gpus_of_a_job(), **shared, **job(megabytes)}


@functools.cache
def gpus_of_a_job():
    """What ``run.gpu`` says; ``auto`` is a GPU where this machine has one, or, in a job of Slurm, was given one."""
    return int(gpu_is_there()) if config["run"]["gpu"] == "auto" else config["run"]["gpu"]


@functools.cache
def code_of(script):
    """The library files that a script imports: an edit to one of them reruns the rule."""
    return [as_it_is(path) for path in library_files(ROOT / "scripts" / f"{script}.py")]


@functools.cache
def code_from(file):
    """Likewise a file of the library, or a user's own, with those that it imports."""
    return [as_it_is(path) for path in sorted({file, *library_files(file)})]


def file_of(pattern, allow_missing=False, **names):
    """An output of a rule, with names in place of its wildcards."""
    # what expand() makes of one name a wildcard, in a tenth of the time: a large study asks for millions of files
    return expand(pattern, allow_missing=True, **names)[0] if allow_missing else pattern.format(**names)


def files_of(places, *patterns):
    """Outputs of rules for every place; a place is a mapping that has a name for every wildcard."""
    return [file_of(pattern, **place) for place in places for pattern in patterns]


def of_split(split, pattern):
    """An output of a rule for one split, with the other wildcards as they are."""
    return file_of(pattern, split=split, allow_missing=True)


def of_splits(pattern):
    """An output of a rule for the splits that training and test are made of, with the other wildcards as they are."""
    return [of_split(split, pattern) for split in ("train", "test")]


def unique(files):
    return list(dict.fromkeys(files))


def checked(check):
    """What a function of the library makes of the config; a mistake ends with one sentence."""
    try:
        return check(config)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def is_whole(path):
    """Whether a result that the terminal is told of is there, and as it was written; one that is damaged is named."""
    try:
        damages = damages_of(path)
    except UserError as error:
        damages = [error]
    for damage in damages:
        print(f"warning: {damage}; `snakemake verify` removes what is damaged", file=sys.stderr)
    return Path(path).is_file() and not damages


def recipe_of(wildcards):
    return config["training_sets"][wildcards.training_set]


def detector_of(wildcards):
    return config["detectors"][wildcards.detector]


def extractor_of(cell):
    """Name of the extractor of a cell's detector."""
    return config["detectors"][cell["detector"]]["extractor"]


def as_place(dataset, category):
    return {"dataset": dataset, "category": category}


def place_of(wildcards):
    """The category of a job's wildcards."""
    return as_place(wildcards.dataset, wildcards.category)


def all_categories():
    """The places that the config names."""
    return [
        as_place(name, category) for name, dataset in config["datasets"].items() for category in dataset["categories"]
    ]


def study_categories():
    """Those that the study compares."""
    return [place for place in all_categories() if config["datasets"][place["dataset"]]["in_study"]]


def categories_of_part():
    """Likewise, in the part of the study that the config names; all of them where it names none."""
    return checked(lambda config: part_of(study_categories(), PART))


def in_splits(places, splits=("train", "test")):
    """Places in each of the splits that training and test are made of."""
    return [{**place, "split": split} for place in places for split in splits]


def study_training_sets(places=None, scenarios=None):
    """The study's training sets in every category and scenario, unless others of these are given, that some detector sees."""
    return [
        {**place, "scenario": scenario, "training_set": training_set}
        for place in (study_categories() if places is None else places)
        for scenario in scenarios or config["study"]["scenarios"]
        if is_seen(scenario, "datasets", place["dataset"])
        for training_set in sets_of_scenario(scenario)
        if detectors_that_see(place["dataset"], scenario, training_set)
    ]


@functools.cache
def sets_of_scenario(scenario):
    """The study's training sets but those that ``study.only`` keeps from a scenario."""
    return [name for name in config["study"]["training_sets"] if is_seen(scenario, "training_sets", name)]


def study_cells(places=None, scenarios=None):
    """Likewise, with the detectors that see each of them: all but those that ``study.only`` keeps from it."""
    return [
        {**place, "detector": detector}
        for place in study_training_sets(places, scenarios)
        for detector in detectors_that_see(place["dataset"], place["scenario"], place["training_set"])
    ]


@functools.cache
def detectors_that_see(dataset, scenario, training_set):
    """The study's detectors that see a training set of a data set in a scenario."""
    names = {"datasets": dataset, "scenarios": scenario, "training_sets": training_set}
    return [
        detector
        for detector in config["study"]["detectors"]
        if all(is_seen(detector, key, value) for key, value in names.items())
    ]


def is_seen(by, key, value):
    """Whether ``study.only`` lets a detector or scenario see one of the ``datasets``, ``scenarios`` or ``training_sets``."""
    return value in config["study"]["only"].get(by, {}).get(key, [value])


def names_of(places, *keys):
    """The names of places alone, all or some, as scripts take them."""
    return [tuple(place[key] for key in keys or place) for place in places]


def of_all(places, *patterns):
    """Outputs of rules for every place that a function finds, which is asked only when a target needs it."""
    return lambda wildcards: files_of(places(), *patterns)


def of_category(places, pattern):
    """An output of a rule for every training set or cell of the study in a category, as a function finds these."""
    return lambda wildcards: unique(files_of(places([dict(wildcards.items())]), pattern))


def category_groups():
    return {
        name: {key: value["group"] for key, value in dataset["categories"].items() if "group" in value}
        for name, dataset in config["datasets"].items()
    }


def clear_what_was_killed():
    """Remove what processes that are no more left half-made; a job that runs again does so beside its outputs, too."""
    clear_scripts()
    downloads = [os.path.join(f"{PREFIX}{DOWNLOADS}", below) for below in ("", "archives", "weights")]
    cleared = clear_leftovers(f"{PREFIX}results", deep=True)
    for path in cleared + [path for folder in downloads for path in clear_leftovers(folder)]:
        print(f"{path}: removed, the process that made it has ended", file=sys.stderr)


def check_folder(place):
    """Fail before any work where something is to be made in a folder, there or not, that cannot be written to."""
    place = Path(f"{PREFIX}{place}").absolute()
    folder = next(path for path in (place, *place.parents) if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise WorkflowError(
            f"{folder}: expected a folder that can be written to, found one that cannot; name one by --directory."
        )


restore_as_out_of_date(FileBackupMixin)

# only the main process looks: to a job on a cluster, what another one is about to make anew is no business of its own
if workflow.is_main_process:
    check_folder("results")
    take_for_missing(
        _IOFile,
        incomplete_lists(
            f"{PREFIX}{folder}/{place['dataset']}/{place['category']}"
            for place in (all_categories() if PART is None else categories_of_part())
            for folder in ("results", "results/gallery")
        ),
    )
