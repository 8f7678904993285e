# what the page of selection shows
SHEET_CATEGORIES = 6  # of a data set, whose contact sheets are shown


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
