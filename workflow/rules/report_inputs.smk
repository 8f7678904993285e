# what the page of selection shows
SHEET_CATEGORIES = 6  # of a data set, whose contact sheets are shown


def sheets_of_heatmaps():
    """(name of a rule plot_heatmaps, detector, scenarios, training sets that it sees in each of them).

    One for each detector, as each sees its own training sets, and one more for a scenario that has fewer of them.
    """
    less = [name for name in config["scenarios"] if "training_sets" in config["study"]["only"].get(name, {})]
    groups = [
        ("", [name for name in config["scenarios"] if name not in less]),
        *((f"_{name}", [name]) for name in less),
    ]
    return [
        (f"plot_heatmaps_{detector}{suffix}", detector, names, seen_sets(detector, names[0]))
        for detector in config["study"]["detectors"]
        for suffix, names in groups
        if names
    ]


def numbered(detector):
    """A detector's name as the report sorts it: that of the study's first before all others."""
    return f"{1 + config['study']['detectors'].index(detector)}. {detector}"


def figures_of_report():
    """The figures of gains that there are."""
    return [path for path in rules.plot_gains.output if path.endswith(".svg")]


def graph_of_rules(nodes, links):
    """The graph of rules in the report: those with a script, under its name, coloured by the file that they are in."""
    from variad.report.rule_graph import rule_graph

    scripted = [rule for rule in workflow.rules if rule.script]
    shown = {rule.name: Path(rule.script).stem.replace("_", " ") for rule in scripted}
    stages = {rule.name: Path(rule.snakefile).stem for rule in scripted}
    return rule_graph(nodes, links, shown, stages)


def seen_sets(detector, scenario):
    """The study's training sets that a detector sees in a scenario."""
    names = sets_of_scenario(scenario)
    return [name for name in names if is_seen(detector, "training_sets", name)]


def of_shown_splits(pattern):
    """An output of a rule for the splits whose images the gallery shows, with the other wildcards as they are."""
    return [of_split(split, pattern) for split in study_splits()]


def of_predict(pattern):
    """An output of a rule for the cell that section ``predict`` names, with the other wildcards as they are."""
    return file_of(pattern, **config["predict"], allow_missing=True)


def shown_sources():
    """The sources whose contact sheets are shown: of large data sets those of the first categories."""
    places = selection_places()
    shown = [
        place
        for number, place in enumerate(places)
        if sum(place["dataset"] == other["dataset"] for other in places[:number]) < SHEET_CATEGORIES
    ]
    return [{**place, "source": source} for place in shown for source in selection_sources(place["dataset"])]


def with_templates(*files):
    """The files, if prompts are chosen at all."""
    return (
        list(files) if any(selection_of(config, place["dataset"])["templates"] for place in selection_places()) else []
    )


def of_benchmarks(pattern, choice):
    """An output of a rule for every benchmark of selection."""
    found = [name for place in selection_places() for name in benchmarks_of(place["dataset"])]
    return expand(pattern, choice=choice, benchmark=unique(found))
