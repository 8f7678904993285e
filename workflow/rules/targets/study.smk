# which files the targets of workflow/Snakefile stand for


def prompts_of_category(wildcards):
    """Best and worst prompts by which the study's training sets are guided."""
    recipes = [
        config["training_sets"][name] for name in config["study"]["training_sets"]
    ]
    return expand(
        "results/{dataset}/{category}/{scenario}/prompts/{encoder}.{source}.json",
        **wildcards,
        scenario=config["study"]["scenarios"],
        encoder=sorted({recipe["encoder"] for recipe in recipes if is_guided(recipe)}),
        source=prompt_settings(wildcards)["word_source"],
    )


def kept_files():
    """Every file that the study keeps, so that deleting one makes it anew."""
    files = []
    for dataset, category in study_categories():
        here = f"results/{dataset}/{category}"
        names = Wildcards(fromdict={"dataset": dataset, "category": category})
        files += [
            f"{here}/{name}" for name in ("manifest.csv", "images.h5", "shots.csv")
        ]
        for choice in prompts_of_category(names):
            stem = Path(choice).stem
            files += [
                choice,
                choice.removesuffix("json") + "csv",
                f"{here}/texts/{stem}.h5",
            ]
            files.append(f"{here}/candidates/{stem.rpartition('.')[2]}.csv")
        cells = cells_of_category(names)
        for cell in cells:
            files += [f"{cell}/{name}" for name in CELL_FILES]
        extractors = extractors_of({Path(cell).name for cell in cells})
        files += [f"{here}/features/{extractor}.h5" for extractor in extractors]
        files += [
            f"results/tables/{dataset}/{category}{ending}"
            for ending in (".csv", ".bootstrap.h5")
        ]
        files.append(f"results/gallery/{dataset}/{category}/contents.txt")
    for dataset, category, scenario, training_set in study_training_sets():
        files += training_set_outputs(dataset, category, scenario, training_set)
    return sorted(set(files))


CELL_FILES = [
    "model/contents.txt",
    "maps/contents.txt",
    "scores.csv",
    "pixel_histograms.h5",
    "metrics.csv",
    "heatmaps.png",
]


def training_set_outputs(dataset, category, scenario, training_set):
    here = f"results/{dataset}/{category}/{scenario}/{training_set}"
    files = [f"{here}/added.h5", f"{here}/contact_sheet.png"]
    if config["training_sets"][training_set]["method"] != "none":
        extractors = extractors_of(detectors_of(dataset, scenario, training_set))
        files += [f"{here}/features/{extractor}.h5" for extractor in extractors]
    return files


def training_set_files():
    return [
        path
        for names in study_training_sets()
        for path in training_set_outputs(*names)[:2]
    ]


def training_sets_with_images():
    """Those of the study's training sets that add images to the shots."""
    return [
        names
        for names in study_training_sets()
        if config["training_sets"][names[-1]]["method"] != "none"
    ]


def image_quality_files():
    return [
        f"results/{'/'.join(names)}/image_quality.csv"
        for names in training_sets_with_images()
    ]


def prompt_files():
    """Prompts of every category and scenario, whether or not a training set uses them."""
    files = []
    for dataset, category in study_categories():
        settings = merged(config["prompts"], config["datasets"][dataset]["prompts"])
        for scenario in config["study"]["scenarios"]:
            stem = f"{settings['encoder']}.{settings['word_source']}"
            files.append(f"results/{dataset}/{category}/{scenario}/prompts/{stem}.json")
    return files


def training_set_figures():
    return [
        f"results/figures/training_sets/{dataset}/{category}.{scenario}.png"
        for dataset, category in study_categories()
        for scenario in config["study"]["scenarios"]
    ]


def export_folders():
    return [
        f"results/{'/'.join(names)}/export/contents.txt"
        for names in study_training_sets()
    ]


def downloaded_files():
    """Unpacked data sets and penalty images, and published weights."""
    detectors = [config["detectors"][name] for name in config["study"]["detectors"]]
    archives = {
        dataset["adapter"]
        for dataset in config["datasets"].values()
        if is_downloaded(dataset)
    } | {penalty_archive(entry) for entry in detectors}
    weights = [path for path in study_weights() if is_downloaded_weights(path)]
    return [contents_of(name) for name in sorted(archives - {None})] + weights


def prediction_files(wildcards=None):
    """What section ``predict`` asks for, which need not fit a study whose predictions nobody wants."""
    checked(check_predict)
    chosen = config["predict"]
    return [
        f"results/{dataset}/{category}/{chosen['scenario']}/{chosen['training_set']}/{chosen['detector']}/{name}"
        for dataset, category in study_categories()
        for name in ("predictions.csv", "heatmaps/contents.txt")
    ]
