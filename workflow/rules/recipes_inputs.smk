# what recipes are chosen for: the detectors of the cells of categories that study and selection share
from variad.selection.settings import check_recipes


def recipe_sources(dataset):
    """The sources that choose recipes: all of selection's unless the config names some."""
    return config["recipes"]["sources"] or selection_sources(dataset)


def recipe_cells(place):
    """The cells that a detector's recipes are chosen among, in a category."""
    named = {"dataset": place["dataset"], "category": place["category"]}
    return [
        cell
        for scenario in config["recipes"]["scenarios"]
        for cell in study_cells([named], [scenario])
        if cell["detector"] == place["detector"]
    ]


def recipe_runs(wildcards):
    """How many runs have both a support set and fitted detectors."""
    scenarios = sorted({cell["scenario"] for cell in recipe_cells(wildcards)})
    runs = [runs_of(scenario, wildcards.detector) for scenario in scenarios]
    return min([selection_of(config, wildcards.dataset)["runs"], *runs])


def recipe_places():
    """The categories and detectors that recipes are chosen for."""
    if not config["recipes"]["detectors"]:
        return []
    checked(check_recipes)
    in_study = study_categories()
    places = [
        {**place, "detector": detector}
        for place in selection_places()
        if place in in_study
        for detector in config["recipes"]["detectors"]
    ]
    return [place for place in places if recipe_cells(place)]


def all_recipe_cells():
    """The cells of all of them."""
    return [cell for place in recipe_places() for cell in recipe_cells(place)]
