# what detectors see: features, weights, and the penalty images of EfficientAD
from variad.detectors.interface import method_file

PENALTIES = ("photographs", "none")  # of EfficientAD, that need no folder


def features_of(split):
    """Features of the real images of a split that a cell's detector sees; nothing where its extractor keeps none."""

    def file(wildcards):
        place = {**wildcards, "split": split, "extractor": extractor_of(wildcards)}
        return file_of(rules.extract_features.output.features, **place) if keeps_features(place) else []

    return file


def keeps_features(place):
    """Whether the extractor of a place keeps features of real images for all who read them."""
    return config["extractors"][place["extractor"]]["kept"]


def of_candidates(pattern):
    """An output of a rule for the split that a recipe's photographs are chosen from, and then for unlabelled images, where
    candidates are test images, one of those that are predicted may be a copy. Nothing for a recipe that chooses none.
    """

    def files(wildcards):
        splits = candidate_splits(recipe_of(wildcards))
        places = [{**wildcards, "extractor": extractor_of(wildcards)}] if splits else []
        return files_of(in_splits(places, unique([*splits, "unlabelled"])), pattern)

    return files


def features_of_candidates(wildcards):
    """Features of these images, where the extractor keeps any."""
    place = {"extractor": extractor_of(wildcards)}
    return of_candidates(rules.extract_features.output.features)(wildcards) if keeps_features(place) else []


def weights_of_detector(wildcards):
    """The weights of the network whose features a detector sees: EfficientAD runs it on views of its own."""
    return weights_of("extractors", extractor_of(wildcards))


def whole_extractor(wildcards):
    """The extractor entry of a detector."""
    return config["extractors"][extractor_of(wildcards)]


def detector_extractor(wildcards):
    """Likewise, with those of its layers that the detector uses."""
    entry = whole_extractor(wildcards)
    return {**entry, "layers": detector_of(wildcards)["layers"] or entry["layers"]}


def detector_code(wildcards):
    """The library files of a detector, which its scripts import by name, or a user's own file."""
    return code_of_method(detector_of(wildcards)["method"])


@functools.cache
def code_of_method(method):
    return code_from(method_file(method))


def trained_detector(name):
    """The entry of a detector, with the folder of its penalty images where the config has an archive's name."""
    entry = config["detectors"][name]
    archive = penalty_archive(entry)
    if archive is None:
        return entry
    return {**entry, "settings": {**entry["settings"], "penalty": f"{PREFIX}{DOWNLOADS}/{archive}"}}


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


def runs_of(scenario, detector):
    """How many runs of a scenario a detector sees: all of them unless ``study.only`` says fewer."""
    runs = config["scenarios"][scenario]["runs"]
    return min(runs, config["study"]["only"].get(detector, {}).get("runs", runs))


def entries_of_cell(wildcards):
    """The config's entries that a cell is made of, for a bundle to be traced to; another entry changes nothing of it."""
    chosen = {
        "datasets": wildcards.dataset,
        "scenarios": wildcards.scenario,
        "training_sets": wildcards.training_set,
        "detectors": wildcards.detector,
        "extractors": extractor_of(wildcards),
    }
    whole = {key: config[key] for key in ("run", "image_size", "prompts")}
    return {**whole, **{section: {name: config[section][name]} for section, name in chosen.items()}}
