# what synthetic anomalies are made from
from variad.selection.settings import selection_of


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
    return {**source, "images": f"{PREFIX}{DOWNLOADS}/{images}"} if images in ARCHIVES else source


def unrelated_images(wildcards):
    """What a source of unrelated images draws from: a folder of the user's, or the list of an unpacked archive."""
    source_of(wildcards)  # says so where these are images of the data set itself
    source = config["anomaly_sources"][wildcards.source]
    if source["method"] != "unrelated" or source["images"] == "photographs":
        return []
    if source["images"] in ARCHIVES:
        return contents_of(source["images"])
    if not Path(source["images"]).is_dir():
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.images: expected photographs, an archive or a folder with "
            f"images, found {source['images']!r}."
        )
    return source["images"]


def named_by_source(wildcards, key):
    """A name of another section that a source has under one of its keys: ``encoder``, ``diffusion_model``."""
    name, known = config["anomaly_sources"][wildcards.source][key], config[f"{key}s"]
    if name not in known:
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.{key}: expected one of {key}s ({', '.join(known)}), "
            f"found {name!r}."
        )
    return name


def needs_diffusion(source):
    return source["method"] in ("style_mix", "text_edit")


def diffusion_model_of(wildcards):
    """Name of the diffusion model of a source; None for sources without."""
    source = config["anomaly_sources"][wildcards.source]
    return named_by_source(wildcards, "diffusion_model") if needs_diffusion(source) else None


def files_of_source(wildcards):
    """The files of a source that works in a diffusion model: its weights, the inversions, and learned directions."""
    model = diffusion_model_of(wildcards)
    if model is None:
        return {}
    files = {
        "inversions": file_of(rules.invert_images.output.inversions, **wildcards, diffusion_model=model),
        "weights": weights_of("diffusion_models", model),
    }
    if config["anomaly_sources"][wildcards.source]["method"] == "text_edit":
        files["direction"] = file_of(rules.train_direction.output.direction, **wildcards)
    return files


def inversion_settings(wildcards, key):
    """What the sources of a diffusion model say of its inversions, which they share."""
    values = {
        name: source[key]
        for name, source in config["anomaly_sources"].items()
        if needs_diffusion(source) and source["diffusion_model"] == wildcards.diffusion_model
    }
    if len(set(values.values())) != 1:
        raise WorkflowError(
            f"config key anomaly_sources: expected one {key} for all sources of {wildcards.diffusion_model}, whose "
            f"inversions they share, found {values}."
        )
    return next(iter(values.values()))
