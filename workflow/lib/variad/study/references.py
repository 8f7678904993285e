"""What the parts of a config are called, and whether they fit each other: what one of them uses or needs of another.

Keys that become a part of a path are plain folder names that nothing else has.
"""

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from variad.core.errors import UserError
from variad.core.files import CONTENTS
from variad.datasets.adapters import RENDERED_ADAPTERS, check_adapter
from variad.detectors.interface import check_extractor, check_method
from variad.downloads.catalogue import ARCHIVES, CATALOGUE
from variad.generation.settings import asks_for_turning, takes_unlabelled, turns_of
from variad.paper.ablation_entries import BASELINE, entries, one_of, places
from variad.selection.settings import NO_SOURCE, RESERVED

Config = Mapping[str, Any]
Item = TypeVar("Item")

FROM_A_PACKAGE = ("elpv",)
SECTIONS = (
    *("datasets", "encoders", "vqgans", "teachers", "diffusion_models", "training_sets", "extractors", "detectors"),
    *("anomaly_sources", "candidates"),
)
# signs that Windows has another use for, that Snakemake takes for wildcards, or a look-up in the config for a pattern
SIGNS = '/\\:*?"<>|[]{}'
# that turn the text after them around, so that a name is shown as another one
TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
LONGEST = 100  # bytes
LONGEST_TOGETHER = 220  # bytes of the names that a log's name is made of; a file system takes 255 in all

# what the workflow's own files and rows of tables are called, beside those that keys give their names to
TAKEN: dict[str, Collection[str]] = {
    "datasets": (
        *("tables", "paper", "figures", "gallery", "models", "logs", "benchmarks", "report"),
        *("archives", "weights", "wordnet"),
    ),
    "categories": ("average",),
    "vqgans": ("conse.safetensors", "diffusion", "teachers"),
    "training_sets": ("prompts",),
    "detectors": ("features", "export", "pool.csv", "chosen.csv", "added.h5", "contact_sheet.png", "image_quality.csv"),
    "anomaly_sources": ("inversions", NO_SOURCE, *RESERVED),
    "maps": (
        *("figure_12", "figure_15", "figure_16", "figure_17", "figure_18", "loco", "aupro"),
        *(f"table_{number:02}" for number in range(4, 19)),
    ),
}
TAKEN_ANYWHERE = (CONTENTS,)
ENDINGS_OF_TABLES = (".csv", ".md", ".json", ".html", ".js")  # of files beside the data sets' folders
ENDINGS_OF_PAGES = (".predictions.html", ".predictions.js", ".predictions.txt")  # beside the categories' folders
# what Windows takes for a device, with any ending
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def _wrong(key: str, expected: str, found: Any) -> UserError:
    return UserError(f"config key {key}: expected {expected}, found {found}.")


def check_names(config: Config) -> None:
    """Check every key that becomes a part of a path; values of another type than the schema's are passed over.

    Raises:
        UserError: a key is no text, no plain folder name or too long, the workflow's own files or rows of its tables
            are called so, or it differs from another in upper and lower case alone.
    """
    for key, names in _named(config):
        for name in names:
            _check_name(key, name)
        alike: dict[str, str] = {}
        for name in names:
            if (other := alike.setdefault(_folded(name), name)) != name:
                raise _wrong(key, "names that differ in more than upper and lower case", f"{other!r} and {name!r}")
    for name, dataset in _entries(config, "datasets").items():
        if name in ARCHIVES and isinstance(dataset, Mapping) and dataset.get("adapter") in RENDERED_ADAPTERS:
            found = f"{name!r} for a data set of adapter {dataset['adapter']}"
            raise _wrong("datasets", "a name that no downloaded archive has", found)
    _check_lengths(config)


def _named(config: Config) -> Iterator[tuple[str, list[Any]]]:
    """Keys of the config, and the names that stand below them."""
    for section in SECTIONS:
        yield section, list(_entries(config, section))
    for name, dataset in _entries(config, "datasets").items():
        yield f"datasets.{name}.categories", list(_entries(dataset, "categories"))
    yield "ablations.maps", list(_entries(_entries(config, "ablations"), "maps"))


def _entries(mapping: Any, key: str) -> Mapping[Any, Any]:
    """An entry that is a mapping; an empty one where it is something else, which the schema then refuses."""
    found = mapping.get(key) if isinstance(mapping, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _check_name(key: str, name: Any) -> None:
    if not isinstance(name, str):
        found = f"{name!r}, a value of type {type(name).__name__}; write it in quotes"
        raise _wrong(key, "names that are text", found)
    shown = repr(name if len(name) <= LONGEST else f"{name[:20]}...")
    if fault := _fault(name):
        raise _wrong(key, "the name of a folder", f"{shown}, which {fault}")
    kind, folded = key.rpartition(".")[2], _folded(name)
    taken = folded in TAKEN.get(kind, ()) or folded in TAKEN_ANYWHERE
    if kind == "categories":
        taken = taken or folded.startswith("average_") or folded.endswith(ENDINGS_OF_PAGES)
    if kind == "datasets":
        taken = taken or folded.endswith(ENDINGS_OF_TABLES)
    if taken:
        raise _wrong(key, "another name than those of the workflow's own files and rows", shown)


def _fault(name: str) -> str:
    """What is wrong with a name, to be read after ``which``; empty if nothing is."""
    if not name.strip():
        return "is empty"
    if len(name.encode("utf-8", "replace")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if odd := [
        letter for letter in name if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in TURNING
    ]:
        return f"has the control character {odd[0]!r}"
    if signs := [letter for letter in name if letter in SIGNS]:
        return f"has the sign {signs[0]}"
    if name[0] in ".-" or name != name.lstrip():
        return "begins with a dot, a hyphen or a space"
    if name[-1] == "." or name != name.rstrip():
        return "ends with a dot or a space"
    if name.casefold().partition(".")[0].rstrip() in DEVICES:
        return "is a device on Windows"
    return ""


def _folded(name: str) -> str:
    """What a file system that knows no upper and lower case takes a name for."""
    return unicodedata.normalize("NFC", name.casefold())


def _check_lengths(config: Config) -> None:
    """The names of logs hold those of data set and category, and of what is made there."""
    detector = max(_longest(config, "detectors"), _longest(config, "extractors"))
    alone = max(_longest(config, section) for section in SECTIONS[1:])
    made = max(_longest(config, "training_sets") + detector, alone)
    for name, dataset in _entries(config, "datasets").items():
        found = len(name.encode()) + _longest(dataset, "categories") + made
        if found > LONGEST_TOGETHER:
            most = f"of at most {LONGEST_TOGETHER} bytes together"
            expected = f"names of data set, category, training set and detector {most}"
            raise _wrong(f"datasets.{name}", expected, f"{found} for the longest of them")


def _longest(mapping: Any, key: str) -> int:
    return max((len(name.encode()) for name in _entries(mapping, key)), default=0)


def check_references(config: Config) -> None:
    """Check every name that one section uses of another, and what an entry needs beside itself.

    Raises:
        UserError: a name is not defined where it has to be, or an entry lacks what its kind needs.
    """
    for name, recipe in config["training_sets"].items():
        _defined(config, f"training_sets.{name}.vqgan", recipe.get("vqgan"), "vqgans")
        _defined(config, f"training_sets.{name}.encoder", recipe.get("encoder"), "encoders")
        _defined(config, f"training_sets.{name}.extractor", recipe.get("extractor"), "extractors")
        _check_candidates(name, recipe)
        _check_copies(name, recipe)
    used = _used_detectors(config)
    for name in config["detectors"]:
        _check_detector(config, name, name in used)
    for name in sorted(used & set(config["detectors"])):
        check_extractor(config, name)
    for name, extractor in config["extractors"].items():
        side = extractor["resolution"] or config["image_size"]
        if extractor["crop"] is not None and extractor["crop"] > side:
            raise _wrong(f"extractors.{name}.crop", f"at most the {side} pixels of its images", extractor["crop"])
    _defined(config, "prompts.encoder", config["prompts"]["encoder"], "encoders")
    for name, model in config["diffusion_models"].items():
        if not model["weights"] and not (model["kind"] == "diffusers" and model["model"]):
            raise _wrong(f"diffusion_models.{name}.weights", "a file or folder", "none")
    for name, dataset in config["datasets"].items():
        _check_dataset(config, name, dataset)
    for name in config["downloads"]["sources"]:
        one_of("downloads.sources", name, CATALOGUE)


def _check_copies(name: str, recipe: Config) -> None:
    """That a recipe which turns images wants no more of each than there are places on the circle."""
    most = len(turns_of(recipe))
    if not most:
        return
    counts = {f"images_per_shot.{scenario}": count for scenario, count in recipe["images_per_shot"].items()}
    if takes_unlabelled(recipe):
        counts = {"images_per_image": recipe["images_per_image"]}
    for key, count in counts.items():
        if count > most:
            raise _wrong(f"training_sets.{name}.{key}", f"at most the {most} turned copies of an image", count)


def _check_candidates(name: str, recipe: Config) -> None:
    """Where a recipe that chooses among unlabelled images has them from."""
    if not recipe.get("transductive"):
        return
    if "transductive" not in name:
        expected = f"false, or a name that says so in every table, such as {name}_transductive"
        raise _wrong(f"training_sets.{name}.transductive", expected, "true")
    if recipe.get("contamination") is not None:
        none = "none, as the candidates are the test images"
        raise _wrong(f"training_sets.{name}.contamination", none, recipe["contamination"])
    if asks_for_turning(recipe):
        always = "always, as the candidates are test images, which are not asked whether the product turns"
        raise _wrong(f"training_sets.{name}.rotations", always, "auto")


def _check_detector(config: Config, name: str, used: bool) -> None:
    detector = config["detectors"][name]
    key = f"detectors.{name}"
    try:
        check_method(detector["method"], detector["settings"])
    except UserError as error:
        raise UserError(f"config key {key}.method: {str(error).partition(': ')[2]}") from error
    if detector["extractor"] not in config["extractors"] and not used:
        return  # one of the default's, with extractors of the user's own
    _defined(config, f"{key}.extractor", detector["extractor"], "extractors")
    extractor = config["extractors"][detector["extractor"]]
    for layer in detector["layers"] or []:
        one_of(f"{key}.layers", layer, extractor["layers"])


def _used_detectors(config: Config) -> set[str]:
    """Those of the study, of predictions and of ablations."""
    compared = [place for _, entry in entries(config["ablations"]) for place in places(entry, config["datasets"])]
    return {*config["study"]["detectors"], config["predict"]["detector"], *(detector for _, _, detector in compared)}


def _check_dataset(config: Config, name: str, dataset: Config) -> None:
    adapter = dataset["adapter"]
    try:
        check_adapter(adapter, dataset["settings"])
    except UserError as error:
        raise UserError(f"config key datasets.{name}.adapter: {str(error).partition(': ')[2]}") from error
    _defined(config, f"datasets.{name}.prompts.encoder", dataset["prompts"].get("encoder"), "encoders")
    if adapter in FROM_A_PACKAGE and dataset["path"]:
        none = f"none, as images of adapter {adapter} come from a package"
        raise _wrong(f"datasets.{name}.path", none, repr(dataset["path"]))
    if not dataset["path"] and adapter not in (*FROM_A_PACKAGE, *RENDERED_ADAPTERS, *ARCHIVES):
        raise _wrong(f"datasets.{name}.path", "the data set's folder", "none")
    prompts = {**config["prompts"], **dataset["prompts"]}
    if prompts["word_source"] == "wordlist" and not prompts["wordlist"]:
        key = f"datasets.{name}.prompts" if "word_source" in dataset["prompts"] else "prompts"
        raise _wrong(f"{key}.wordlist", "a file with one word a line", "none")


def check_study(config: Config) -> None:
    """Check that what the study names is there, and that it has a cell to look at everywhere.

    Raises:
        UserError: a name is not defined, or a part of the study would have nothing to show.
    """
    study = config["study"]
    for key in ("scenarios", "training_sets", "detectors"):
        for name in study[key]:
            _defined(config, f"study.{key}", name, key)
    for name in chain.from_iterable(study["contrasts"]):
        one_of("study.contrasts", name, study["training_sets"])
    compared = {name: entry["categories"] for name, entry in config["datasets"].items() if entry["in_study"]}
    places = {f"{name}/{category}" for name, categories in compared.items() for category in categories}
    for name, members in study["averages"].items():
        if name in config["datasets"]:
            raise _wrong("study.averages", "a name that no data set has", repr(name))
        for place in members:
            one_of(f"study.averages.{name}", place, places)
    if BASELINE not in study["training_sets"]:
        raise _wrong("study.training_sets", f"'{BASELINE}' among them", "it missing")
    if (found := config["training_sets"][BASELINE]["method"]) != "none":
        raise _wrong(f"training_sets.{BASELINE}.method", "none, as gains are over the shots alone", repr(found))
    for name in study["training_sets"]:
        _check_drawn(config, name)
    _check_only(config)
    _check_kept_maps(config)


def _check_drawn(config: Config, name: str) -> None:
    """That the study's data sets have what a training set draws from."""
    if config["training_sets"][name]["method"] == "real" and "full_shot" not in config["scenarios"]:
        expected = f"full_shot, whose shots training set {name!r} of method real draws from"
        raise _wrong("scenarios", expected, ", ".join(config["scenarios"]))
    for dataset, entry in config["datasets"].items():
        if entry["in_study"]:
            check_pool(config, name, dataset)


def check_pool(config: Config, training_set: str, dataset: str) -> None:
    """Check that a data set has a pool, if a key of a training set asks for one.

    Raises:
        UserError: it has none.
    """
    for key, none in (("contamination", "none"), ("as_pool", "false")):
        value = config["training_sets"][training_set].get(key)
        # a share of 0 equals False, and asks for labels all the same
        if value is not None and value is not False and config["datasets"][dataset]["pool"] is None:
            expected = f"{none}, as data set {dataset} has no pool"
            raise _wrong(f"training_sets.{training_set}.{key}", expected, value)


def _check_only(config: Config) -> None:
    study = config["study"]
    known = {key: study[key] for key in ("scenarios", "training_sets")} | {"datasets": config["datasets"]}
    for name, part in study["only"].items():
        one_of("study.only", name, [*study["detectors"], *study["scenarios"]])
        unknown = {"scenarios", "runs"} & set(part) if name in study["scenarios"] else set()
        if unknown:
            raise _wrong(
                f"study.only.{name}", "datasets or training_sets, as it is a scenario", ", ".join(sorted(unknown))
            )
        for key, names in known.items():
            for value in part.get(key, []):
                one_of(f"study.only.{name}.{key}", value, names)
        if BASELINE not in part.get("training_sets", [BASELINE]):
            raise UserError(f"config key study.only.{name}.training_sets: expected '{BASELINE}' among them.")
    for dataset, entry in config["datasets"].items():
        parts = [study["only"].get(name, {}) for name in study["detectors"]]
        if entry["in_study"] and not any(dataset in part.get("datasets", [dataset]) for part in parts):
            raise _wrong("study.only", f"a detector that sees data set {dataset}", "none")


def _check_kept_maps(config: Config) -> None:
    """Every cell shows the maps of a run."""
    study = config["study"]
    for detector in study["detectors"]:
        part = study["only"].get(detector, {})
        for scenario in part.get("scenarios", study["scenarios"]):
            runs = config["scenarios"][scenario]["runs"]
            runs = min(runs, part.get("runs", runs))
            if not any(run < runs for run in study["keep_map_runs"]):
                expected = f"a run below {runs}, as many as {detector} has in {scenario}"
                raise _wrong("study.keep_map_runs", expected, study["keep_map_runs"])


def check_predict(config: Config) -> None:
    """Check the names of section ``predict``, whose training set need not be one of the study, and its thresholds.

    Raises:
        UserError: a scenario, training set or detector that is not there, nothing that the training set draws from, or
            photographs that would be bad before anybody looks at them.
    """
    predict = config["predict"]
    for key in ("scenario", "training_set", "detector"):
        _defined(config, f"predict.{key}", predict[key], f"{key}s")
    if predict["look"] > predict["quantile"]:
        expected = f"at most predict.quantile ({predict['quantile']:g})"
        raise _wrong("predict.look", expected, f"{predict['look']:g}")
    _check_drawn(config, predict["training_set"])


def part_of(items: Sequence[Item], part: str | None) -> list[Item]:
    """The items of one part of a study, in their order: parts are of one size, or of two that differ by one.

    Args:
        part: the key ``part`` of a config, ``3/100``; all items where it is None.

    Raises:
        UserError: a part after the last one.
    """
    number, parts = map(int, (part or "1/1").split("/"))
    if number > parts:
        raise _wrong("part", f"at most {parts}/{parts}", part)
    return list(items[len(items) * (number - 1) // parts : len(items) * number // parts])


def _defined(config: Config, key: str, name: str | None, section: str) -> None:
    if name is not None and name not in config[section]:
        raise _wrong(key, f"one of {section} ({', '.join(config[section]) or 'none'})", repr(name))
