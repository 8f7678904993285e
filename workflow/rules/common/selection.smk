# what synthetic anomalies are made from, and what they choose from


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
    if not Path(source["images"]).is_dir():
        raise WorkflowError(
            f"config key anomaly_sources.{wildcards.source}.images: expected photographs, an archive or a folder with "
            f"images, found {source['images']!r}."
        )
    return source["images"]


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
        "weights": files_of_diffusion_model(model),
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
    key = f"candidates.{wildcards.candidate_set}.weights"
    files = [file_of_package_or_user(entry["weights"], key)]
    files += [
        files_of_extractor(config["detectors"][name]["extractor"])
        for name in detectors_among(entry)
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
