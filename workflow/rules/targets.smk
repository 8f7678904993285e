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
    "pixel_metrics.csv",
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


def prediction_files():
    chosen = config["predict"]
    return [
        f"results/{dataset}/{category}/{chosen['scenario']}/{chosen['training_set']}/{chosen['detector']}/{name}"
        for dataset, category in study_categories()
        for name in ("predictions.csv", "heatmaps/contents.txt")
    ]


# the first document's tables of AUROC
PAPER_TABLES = [f"{number:02d}" for number in range(5, 16)]


def paper_tables():
    """Tables 5 to 15 of the first document beside ours, and what these leave out."""
    tables = expand(
        "results/tables/paper/table_{number}.{form}",
        number=PAPER_TABLES,
        form=["csv", "md", "tex"],
    )
    others = expand(
        "results/tables/paper/{name}.{form}",
        name=["loco", "aupro"],
        form=["csv", "md"],
    )
    return [*tables, *others]


# what each entry of the config section `ablations` makes; those of `maps` are named by their keys
ABLATION_TABLES = {
    "prompts": "table_04",
    "variance_forms": "table_16",
    "encoders_and_strategies": "table_17",
    "strategies": "table_18",
}
ABLATION_FIGURES = {
    "tsne": "figure_12",
    "iterations": "figure_15",
    "lowest_gains": "figure_17",
    "counts": "figure_18",
}


def paper_ablation_files():
    """Tables 4 and 16 to 18 and figures 11 to 18 that the config asks for, and what their cells keep."""
    files = []
    for name, _ in entries(config["ablations"]):
        if name in ABLATION_TABLES:
            stem = f"results/tables/paper/{ABLATION_TABLES[name]}"
            files += [f"{stem}.{form}" for form in ("csv", "md", "tex")]
        if name in ABLATION_FIGURES:
            files.append(f"results/tables/paper/{ABLATION_FIGURES[name]}.csv")
            stem = f"results/figures/paper/{ABLATION_FIGURES[name]}"
            files += [f"{stem}.{form}" for form in ("png", "svg")]
        pictures = "figure_16" if name == "variance_forms" else name.partition(".")[2]
        if pictures:
            files.append(f"results/tables/paper/{pictures}.csv")
            files.append(f"results/figures/paper/{pictures}.png")
    return sorted(set(files) | set(files_behind_ablations()))


def files_behind_ablations():
    """What the cells, training sets and prompts of the config section `ablations` leave behind."""
    section = config["ablations"]
    files = [
        f"{cell.folder}/{name}"
        for cell in all_cells(section, config["datasets"])
        for name in CELL_FILES
        if name != "heatmaps.png"
    ]
    for name, entry in entries(section):
        if name == "prompts":
            choices = prompts_of_ablation(None)
            files += [path for choice in choices for path in files_of_prompts(choice)]
            continue
        for cell in cells_of(entry, config["datasets"]):
            files += files_behind_training_set(cell)
    if "variance_forms" in section:
        files += images_of_forms("image_quality.csv")
    return files


def files_behind_training_set(cell):
    """Files of a category, and of one of its training sets, that a cell is made from."""
    category, folder = (
        f"results/{cell.dataset}/{cell.category}",
        cell.training_set_folder,
    )
    features = f"features/{config['detectors'][cell.detector]['extractor']}.h5"
    files = [
        f"{category}/{name}"
        for name in ("manifest.csv", "images.h5", "shots.csv", features)
    ]
    files.append(f"{folder}/added.h5")
    recipe = config["training_sets"][cell.training_set]
    if recipe["method"] != "none":
        files.append(f"{folder}/{features}")
    if is_guided(recipe):
        stem = prompt_stem(cell.dataset, cell.training_set)
        files += files_of_prompts(f"{category}/{cell.scenario}/prompts/{stem}.json")
    return files


def files_of_prompts(choice):
    """A choice of prompts, with the scores, embeddings and candidates behind it."""
    category, stem = Path(choice).parents[2], Path(choice).stem
    return [
        choice,
        choice.removesuffix("json") + "csv",
        f"{category}/texts/{stem}.h5",
        f"{category}/candidates/{stem.rpartition('.')[2]}.csv",
    ]


def selection_categories_of_study():
    """(data set, category) of what selection covers; a mistake in its sections ends with one sentence."""
    try:
        return selection_categories(config)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def of_selection(name):
    """A file of every category that selection covers; looked up only when a target asks for it."""
    return lambda wildcards: [
        f"results/{dataset}/{category}/selection/{name}"
        for dataset, category in selection_categories_of_study()
    ]


def selection_files(wildcards=None):
    """Tables of selection, and the files of every category that they come from."""
    names = ("choices.csv", "synthetic_auroc.csv", "judged.csv", "points.csv")
    tables = ("selection.csv", "selection.md", "templates.csv", "templates.md")
    return [
        *(f"results/tables/{table}" for table in tables),
        "results/tables/selection_points.csv",
        *(path for name in names for path in of_selection(name)(wildcards)),
    ]


SHEET_CATEGORIES = 6  # of a data set, whose contact sheets the page of selection shows


def anomaly_sheets():
    """Contact sheets of every source, by what they show: of large data sets those of the first categories."""
    sheets = {}
    shown = {}
    for dataset, category in selection_categories_of_study():
        shown[dataset] = shown.get(dataset, 0) + 1
        if shown[dataset] > SHEET_CATEGORIES:
            continue
        for source in selection_of(config, dataset)["sources"]:
            here = f"results/{dataset}/{category}/anomalies/{source}"
            sheets[f"{dataset} / {category}: {source}"] = f"{here}/contact_sheet.png"
    return sheets


def template_files(*paths):
    """The files, if prompts are chosen at all."""
    chosen = any(
        selection_of(config, dataset)["templates"]
        for dataset, _ in selection_categories_of_study()
    )
    return list(paths) if chosen else []


def selection_figures(choice, form):
    """Figures 4 and 5 of every benchmark, for detectors (``selection``) or prompts (``templates``)."""
    benchmarks = dict.fromkeys(
        name
        for dataset, _ in selection_categories_of_study()
        for name in benchmarks_of(Wildcards(fromdict={"dataset": dataset}))
    )
    files = [f"results/figures/{choice}_{name}.{form}" for name in benchmarks]
    return files if choice == "selection" else template_files(*files)


def selection_report_files(wildcards=None):
    """Figures and page of selection."""
    return [
        *selection_figures("selection", "png"),
        *selection_figures("templates", "png"),
        "results/figures/selection_tau.png",
        *template_files("results/figures/templates_tau.png"),
        "results/gallery/selection.html",
        *anomaly_sheets().values(),
    ]


def checked(check):
    """Run a check of the config; a mistake ends with one sentence."""
    try:
        check(config)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def exposure_categories():
    """(data set, category) of what outlier exposure covers: what selection does."""
    checked(check_exposure)
    return selection_categories_of_study()


def of_exposure(path):
    """A file of every category that outlier exposure covers; looked up only when a target asks for it."""
    return lambda wildcards: [
        f"results/{dataset}/{category}/{path}"
        for dataset, category in exposure_categories()
    ]


def exposure_files(wildcards=None):
    """Tables, figure and page of outlier exposure, and the scores that they come from."""
    return [
        "results/tables/exposure.csv",
        "results/tables/exposure.md",
        "results/figures/exposure.png",
        "results/gallery/exposure.html",
        *of_exposure("exposure/scores.csv")(wildcards),
    ]


def anomalies_of_exposure(name):
    """A file of every anomaly source that networks are exposed to."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{wildcards.category}/anomalies/{source}/{name}"
        for source in exposure_of(config, wildcards.dataset)["sources"]
    ]


def added_recipe():
    """The training set whose recipe makes the generated members of the support set."""
    checked(check_exposure)
    return config["training_sets"][config["exposure"]["added"]]


def recipe_sources(dataset):
    """The sources that choose recipes: all of selection's unless the config names some."""
    return config["recipes"]["sources"] or selection_of(config, dataset)["sources"]


def anomalies_of_recipes(name):
    """A file of every anomaly source that chooses recipes."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{wildcards.category}/anomalies/{source}/{name}"
        for source in recipe_sources(wildcards.dataset)
    ]


def recipe_cells(wildcards):
    """Folders of the cells that a detector's recipes are chosen among, by (scenario, training set)."""
    here = f"results/{wildcards.dataset}/{wildcards.category}"
    return {
        (
            scenario,
            training_set,
        ): f"{here}/{scenario}/{training_set}/{wildcards.detector}"
        for scenario in config["recipes"]["scenarios"]
        for training_set in config["study"]["training_sets"]
        if wildcards.detector in detectors_of(wildcards.dataset, scenario, training_set)
    }


def recipe_runs(wildcards):
    """How many runs have both a support set and fitted detectors."""
    scenarios = {scenario for scenario, _ in recipe_cells(wildcards)}
    cells = [
        Wildcards(fromdict={"scenario": scenario, "detector": wildcards.detector})
        for scenario in sorted(scenarios)
    ]
    return min([selection_of(config, wildcards.dataset)["runs"], *map(runs_of, cells)])


def recipe_places():
    """(data set, category, detector) of what recipes are chosen for: the categories that study and selection share."""
    if not config["recipes"]["detectors"]:
        return []
    checked(check_recipes)
    in_study = study_categories()
    places = [
        (dataset, category, detector)
        for dataset, category in selection_categories_of_study()
        if (dataset, category) in in_study
        for detector in config["recipes"]["detectors"]
    ]
    return [place for place in places if recipe_cells(_place(place))]


def recipe_scores():
    """Real scores by (data set, category, detector, scenario, training set)."""
    return {
        (*place, *cell): f"{folder}/scores.csv"
        for place in recipe_places()
        for cell, folder in recipe_cells(_place(place)).items()
    }


def recipe_outputs(name):
    """A file of every data set, category and detector that recipes are chosen for."""
    return [
        f"results/{dataset}/{category}/recipes/{detector}/{name}"
        for dataset, category, detector in recipe_places()
    ]


def _place(place):
    names = dict(zip(("dataset", "category", "detector"), place))
    return Wildcards(fromdict=names)


def recipe_files(wildcards=None):
    """The table of recipes that synthetic anomalies choose, and the files of every category that it comes from."""
    if not recipe_places():
        return []
    names = ("synthetic.csv", "choices.csv", "synthetic_auroc.csv")
    return [
        "results/tables/recipes.csv",
        "results/tables/recipes.md",
        *(path for name in names for path in recipe_outputs(name)),
    ]
