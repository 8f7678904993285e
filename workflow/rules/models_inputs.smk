# weight files that the config names: some ship, some are downloaded, some come from a package or a hub
from variad.downloads.catalogue import find_lpips_backbone
from variad.generation.settings import is_guided, made_by


def file_of_package_or_user(path, key):
    """An input file that the config names under a key, or nothing when it comes from a package or a hub."""
    if not path or not Path(path).suffix:
        return []
    file = named_file(path, key)
    # a download that is verified again is no news
    return ancient(file) if is_downloaded_weights(path) else file


def named_file(path, key):
    """A file that the config names under a key, unless it is missing and lies where none is made.

    The job that reads it knows the name in the config alone, which is not where a made file lies below a prefix.
    """
    parts = Path(path).parts
    made = parts[:1] == ("results",) or parts[:2] == ("resources", "downloads")
    if not made and not Path(path).exists():
        raise WorkflowError(f"config key {key}: expected a file, found none at '{path}'.")
    if made and PREFIX:
        raise WorkflowError(
            f"config key {key}: expected a file that no rule makes, as the module has the prefix '{PREFIX}', found "
            f"'{path}'; name a copy of it, or run the study in a folder of its own (--directory)."
        )
    return as_it_is(path) if PREFIX else str(path)


def is_downloaded_weights(path):
    folder, name = os.path.split(path)
    return folder == f"{DOWNLOADS}/weights" and name in WEIGHTS_FILES


@functools.cache
def files_of_vqgan(name):
    """Weights of a VQGAN, and the YAML beside an official checkpoint."""
    files = (
        file_of_package_or_user(config["vqgans"][name][key], f"vqgans.{name}.{key}") for key in ("weights", "config")
    )
    return [path for path in files if path]


@functools.cache
def weights_of(section, name):
    """The weights that an entry of the config names, of ``extractors`` or ``diffusion_models``."""
    return file_of_package_or_user(config[section][name]["weights"], f"{section}.{name}.weights")


@functools.cache
def encoder_files(name):
    """The file that an encoder needs: class names of ConSE, or a user's own open_clip weights."""
    entry = config["encoders"][name]
    if entry["kind"] == "conse":
        return rules.build_conse.output.classes
    # open_clip's tags of published weights are no paths
    if Path(entry["weights"]).suffix in (".safetensors", ".pt", ".bin"):
        return named_file(entry["weights"], f"encoders.{name}.weights")
    return entry["weights"] if Path(entry["weights"]).is_file() else []


def study_weights():
    """Weight files that the study's training sets and extractors are made with."""
    recipes = [config["training_sets"][name] for name in config["study"]["training_sets"]]
    vqgans = {recipe["vqgan"] for recipe in recipes if made_by(recipe) == "generate"}
    encoders = {recipe["encoder"] for recipe in recipes if is_guided(recipe)}
    extractors = {extractor_of({"detector": name}) for name in config["study"]["detectors"]}
    files = [path for name in sorted(vqgans) for path in files_of_vqgan(name)]
    files += [encoder_files(name) for name in sorted(encoders)]
    files += [weights_of("extractors", name) for name in sorted(extractors)]
    return [path for path in files if path]
