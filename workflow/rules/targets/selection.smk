# which files the targets of the second document stand for


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
