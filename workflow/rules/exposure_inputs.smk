# what outlier exposure covers, and what its networks are exposed to
from variad.selection.settings import check_exposure, exposure_of


def exposure_places():
    """The categories that outlier exposure covers: those of selection."""
    checked(check_exposure)
    return selection_places()


def exposure_sources(dataset):
    return exposure_of(config, dataset)["sources"]


def added_recipe():
    """The training set whose recipe makes the generated members of the support set."""
    checked(check_exposure)
    return config["training_sets"][config["exposure"]["added"]]
