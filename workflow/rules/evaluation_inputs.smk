# what the study's tables are made of


def draws_of_study(wildcards):
    """Rows of every category's table with their bootstrap draws."""
    if not study_categories():
        raise WorkflowError(
            "config key datasets: expected a data set of the study, found none; set in_study to true for one."
        )
    return files_of(study_categories(), rules.aggregate_category.output.draws)


def figures_of_others():
    """A figure of the study's other detectors, where it has any."""
    if len(config["study"]["detectors"]) < 2:
        return {}
    return {
        "others_png": "results/figures/gains_others.png",
        "others_svg": report(
            "results/figures/gains_others.svg",
            caption="../report/gains_others.rst",
            category=IN_REPORT["results"],
            labels=labelled("3. gains of the other detectors", "figure"),
        ),
    }


def spread_extractor():
    """The extractor whose features say how varied images are: that of the study's first detector."""
    return extractor_of({"detector": config["study"]["detectors"][0]})


def of_spread_extractor(pattern):
    """Its features."""
    return file_of(pattern, extractor=spread_extractor(), allow_missing=True)


def choosing_photographs(training_sets):
    """Those that take unlabelled photographs."""
    return [place for place in training_sets if takes_unlabelled(config["training_sets"][place["training_set"]])]


def adding_images(training_sets):
    """Those that add images to the shots."""
    return [place for place in training_sets if config["training_sets"][place["training_set"]]["method"] != "none"]


def sets_that_choose_photographs():
    """Those of the study's training sets, in every category and scenario."""
    return choosing_photographs(study_training_sets())


def sets_that_add_images():
    """Likewise."""
    return adding_images(study_training_sets())
