# what selection covers, and what its sets of candidates need
from variad.datasets.adapters import CLASS_ADAPTERS
from variad.detectors.interface import method_file
from variad.selection.settings import CLASS_BENCHMARKS, DEFECT_BENCHMARKS, method_module, selection_categories


def selection_places():
    """The categories that selection covers; a mistake in its sections ends with one sentence."""
    return [as_place(*names) for names in checked(selection_categories)]


def selection_sources(dataset):
    """The sources that choices are made with."""
    return selection_of(config, dataset)["sources"]


def of_sources(sources, pattern):
    """An output of a rule for every anomaly source of a data set, as a function of its name says them."""
    return lambda wildcards: expand(pattern, **wildcards, source=sources(wildcards.dataset))


def of_candidate_sets(pattern):
    """An output of a rule for every set of candidates, detectors before prompts."""

    def files(wildcards):
        chosen = selection_of(config, wildcards.dataset)
        return expand(pattern, **wildcards, candidate_set=[*chosen["candidates"], *chosen["templates"]])

    return files


def detectors_among(candidates):
    """Entries of the detectors of a candidate set, each with its extractor in place of its name."""
    names = candidates["detectors"] if candidates["method"] == "detectors" else []
    entries = {name: trained_detector(name) for name in names}
    return {name: {**entry, "extractor": config["extractors"][entry["extractor"]]} for name, entry in entries.items()}


def candidates_of(wildcards):
    return config["candidates"][wildcards.candidate_set]


def around_candidates(wildcards):
    """What a set of candidates needs beside its own entry, and nothing that another method needs."""
    entry = candidates_of(wildcards)
    if entry["method"] == "detectors":
        return {"detectors": detectors_among(entry)}
    if entry["method"] == "templates":
        return {"encoder": config["encoders"][entry["encoder"]], "class_name": class_name(wildcards)}
    return {}


def weights_of_candidates(wildcards):
    """Weight files of a set of candidates that lie on this machine."""
    entry = candidates_of(wildcards)
    files = [file_of_package_or_user(entry["weights"], f"candidates.{wildcards.candidate_set}.weights")]
    files += [weights_of("extractors", extractor_of({"detector": name})) for name in detectors_among(entry)]
    return [path for path in files if path]


def classes_of_candidates(wildcards):
    """The encoder's file of a set of prompts."""
    entry = candidates_of(wildcards)
    return encoder_files(entry["encoder"]) if entry["method"] == "templates" else []


def candidate_code(wildcards):
    """The library files of a set of candidates, which its scripts import by name."""
    entry = candidates_of(wildcards)
    methods = [method_file(detector["method"]) for detector in detectors_among(entry).values()]
    return sorted({path for file in [method_module(entry["method"]), *methods] for path in code_from(file)})


def benchmarks_of(dataset):
    """The three of class tasks for data sets of classes, all defects together for the others, or what the config says."""
    of_classes = config["datasets"][dataset]["adapter"] in CLASS_ADAPTERS
    chosen = selection_of(config, dataset).get("benchmarks")
    return chosen or list(CLASS_BENCHMARKS if of_classes else DEFECT_BENCHMARKS)
