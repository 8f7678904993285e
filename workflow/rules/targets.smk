# which files the targets of workflow/Snakefile stand for: all of them are outputs of the rules before
from variad.detectors.interface import METHODS, check_bundled, lacks_onnx
from variad.study.references import check_predict

RANKED = []  # rankings of predictions that a target asks for
BUNDLED = {}  # bundles that a target asks for, and where it is told of their thresholds
PUBLISHED = []  # what is told of published values that a target asks for
HEATMAPS = ("dataset", "category", "scenario", "detector")


def files_of_training_sets(places):
    """What training sets keep, with all of their categories that these are made from."""
    prompts, choosing = prompts_that_guide(places), choosing_photographs(places)
    candidates = [
        {**place, "split": split}
        for place in choosing
        for split in candidate_splits(config["training_sets"][place["training_set"]])
    ]
    return [
        *files_of(in_splits(places), rules.index_category.output.manifest, rules.pack_category.output.images),
        *files_of(candidates, rules.index_category.output.manifest, rules.pack_category.output.images),
        *files_of(choosing, rules.draw_pool.output.pool, rules.choose_unlabelled.output.chosen),
        *files_of(places, rules.take_inventory.output.inventory),
        *files_of(places, rules.sample_shots.output.shots, rules.build_training_set.output.images),
        *files_of_prompts(prompts),
    ]


def files_of_prompts(prompts):
    """Choices of prompts, with the scores, embeddings and candidates behind them."""
    before = (rules.list_candidates.output.candidates, rules.embed_candidates.output.texts)
    return files_of(prompts, *before, *rules.score_prompts.output)


def features_of_cells(cells):
    """Features of the real images that a cell's detector sees, where they are kept."""
    places = [{**cell, "extractor": extractor_of(cell)} for cell in cells]
    return files_of(in_splits(filter(keeps_features, places)), rules.extract_features.output.features)


def files_of_detectors(cells):
    """Models, scores, metrics and maps of cells."""
    return files_of(cells, *rules.train_detector.output, *rules.score_test_set.output)


def heatmaps_of(cells):
    """Sheets of heat maps; a job makes those of all training sets together."""
    together = {names: dict(zip(HEATMAPS, names)) for names in names_of(cells, *HEATMAPS)}
    maker = {(detector, scenario): name for name, detector, names, _ in sheets_of_heatmaps() for scenario in names}
    return [
        path
        for place in together.values()
        for path in files_of([place], *getattr(rules, maker[place["detector"], place["scenario"]]).output)
    ]


def kept_files(places=None):
    """Every file that the study keeps, in all categories or those given, so that deleting one makes it anew."""
    training_sets, cells = study_training_sets(places), study_cells(places)
    files = [
        *files_of(
            study_categories() if places is None else places,
            rules.build_gallery_page.output.page,
            *rules.aggregate_category.output,
        ),
        *files_of(training_sets, rules.plot_contact_sheet.output.sheet),
        *files_of_training_sets(training_sets),
        *features_of_cells(cells),
        *files_of_detectors(cells),
        *heatmaps_of(cells),
    ]
    return sorted(set(files))


def prompt_files():
    """Prompts of every category and scenario, whether or not a training set uses them."""
    prompts = [prompts_of(place, prompt_settings(place["dataset"])["encoder"]) for place in study_training_sets()]
    return unique(files_of(prompts, rules.score_prompts.output.choice))


def outputs_of_ablation(name):
    """Tables and figures that an entry of the config section `ablations` makes; those of `maps` are named by their keys."""
    if name.startswith("maps."):
        return expand(rules.plot_map_pairs.output, figure=name.removeprefix("maps."))
    made_by = {
        "prompts": [rules.compare_prompts],
        "variance_forms": [rules.compare_variance_forms, rules.plot_variance_forms],
        "tsne": [rules.embed_tsne, rules.plot_tsne],
        "iterations": [rules.plot_iterations],
        "lowest_gains": [rules.plot_lowest_gains],
        "counts": [rules.plot_counts],
    }
    numbers = [number for number, entry in COMPONENT_TABLES.items() if entry == name]
    made = [path for maker in made_by.get(name, []) for path in maker.output]
    return made + expand(rules.compare_components.output, number=numbers)


def published_files(wildcards):
    """Tables 5 to 15 beside the published values, and in short how they compare, which the terminal shows at the end."""
    PUBLISHED[:] = [rules.compare_published.output.told]
    return [*rules.compare_published.output]


def say_published():
    """How the study's numbers compare with the published ones, on the terminal."""
    for path in filter(Path.is_file, map(Path, PUBLISHED)):
        print(f"\n{path.read_text('utf-8')}{path.parent}/table_*.md have them all", file=sys.stderr)


def paper_ablation_files():
    """Tables 4 and 16 to 18 and figures 11 to 18 that the config asks for, and what they are made from."""
    section = config["ablations"]
    names = [name for name, _ in entries(section)]
    cells = [cell for name in names if name != "prompts" for cell in ablation_cells(name)]
    files = [path for name in names for path in outputs_of_ablation(name)]
    files += files_of_training_sets(cells) + features_of_cells(cells)
    files += files_of_detectors(map(vars, all_cells(section, config["datasets"])))
    if "prompts" in section:
        files += files_of_prompts(ablation_prompts())
    if "variance_forms" in section:
        files += files_of(variance_forms(), rules.measure_image_quality.output.table)
    return sorted(set(files))


def selection_files(wildcards):
    """Tables of selection with the files of every category that they come from, figures and page."""
    figures, tau = rules.plot_selection.output.png, rules.plot_selection_tau.output.png
    return [
        *rules.aggregate_selection.output,
        *files_of(selection_places(), *rules.select_candidates.output),
        *files_of(selection_places(), rules.judge_selection.output.judged, rules.judge_selection.output.points),
        *of_benchmarks(figures, "selection"),
        *with_templates(*of_benchmarks(figures, "templates"), file_of(tau, choice="templates")),
        file_of(tau, choice="selection"),
        rules.build_selection_page.output.page,
        *files_of(shown_sources(), rules.plot_anomalies.output.sheet),
    ]


def recipe_files(wildcards):
    """The table of recipes that synthetic anomalies choose, and the files of every category that it comes from."""
    places = recipe_places()
    tables = [*rules.judge_recipes.output] if places else []
    return tables + files_of(places, *rules.score_recipes.output, *rules.choose_recipe.output)


def exposure_files(wildcards):
    """Tables, figure and page of outlier exposure, and the scores that they come from."""
    return [
        *files_of(exposure_places(), rules.expose_outliers.output.scores),
        *rules.judge_exposure.output,
        rules.plot_exposure.output.png,
        rules.build_exposure_page.output.page,
    ]


def downloaded_files(wildcards):
    """Unpacked data sets and penalty images, and published weights."""
    archives = {dataset["adapter"] for dataset in config["datasets"].values() if is_downloaded(dataset)}
    archives |= {penalty_archive(config["detectors"][name]) for name in config["study"]["detectors"]}
    weights = [path for path in study_weights() if is_downloaded_weights(path)]
    return [contents_of(name) for name in sorted(archives - {None})] + weights


def prediction_files(wildcards):
    """What section ``predict`` asks for, which need not fit a study whose predictions nobody wants."""
    checked(check_predict)
    places = [{**place, **config["predict"]} for place in places_to_predict()]
    RANKED.extend(path for path in files_of(places, rules.build_predictions_page.output.ranking) if path not in RANKED)
    return files_of(places, *rules.predict_images.output, *rules.build_predictions_page.output)


def files_for_the_line(wildcards):
    """Predictions and bundles, as far as a study has what they need: photographs, and a detector whose code is ours."""
    predictions = prediction_files(wildcards) if any(map(may_have_unlabelled, study_categories())) else []
    bundled = config["detectors"][config["predict"]["detector"]]["method"] in METHODS
    return predictions + (bundle_files(wildcards) if bundled else [])


def places_to_predict():
    """Categories that have unlabelled photographs; those that have none are named before anything runs."""
    lacking = [place for place in study_categories() if not may_have_unlabelled(place)]
    places = [place for place in study_categories() if place not in lacking]
    if not places:
        place = lacking[0]
        where = Path(config["datasets"][place["dataset"]]["path"] or place["dataset"])
        raise WorkflowError(
            f"{where}: expected photographs to predict in a folder 'unlabelled' beside 'train' of category "
            f"'{place['category']}', or a key pool of data set {place['dataset']}, found neither."
        )
    for place in lacking:
        print(f"{place['dataset']}/{place['category']}: no unlabelled photographs to predict", file=sys.stderr)
    return places


def say_rankings():
    """The ranked tables of the categories that were to be predicted, on the terminal, where they are looked for."""
    for path in filter(is_whole, map(Path, RANKED)):
        print(f"\n{path.read_text('utf-8')}", end="", file=sys.stderr)


def bundle_files(wildcards):
    """A bundle of the cell of section ``predict`` in every category, and its ONNX form where the detector has one."""
    checked(check_predict)
    entry = config["detectors"][config["predict"]["detector"]]
    checked(lambda config: check_bundled(entry["method"]))
    places = [{**place, **config["predict"]} for place in study_categories()]
    exported = rules.export_onnx.output if lacks_onnx(entry["method"], entry["settings"]) is None else []
    told, bundles = rules.judge_thresholds.output, rules.bundle_detector.output
    BUNDLED.update(zip(files_of(places, *bundles), files_of(places, told.told)))
    return files_of(places, *bundles, *exported, *told)


def say_bundles():
    """Where the bundles are that were asked for, and what their thresholds can promise."""
    for bundle, told in BUNDLED.items():
        if Path(bundle).is_file() and is_whole(told):
            size = Path(bundle).stat().st_size / 1e6
            print(f"\n{bundle} ({size:.1f} MB)\n{Path(told).read_text('utf-8')}", end="", file=sys.stderr)


def say_results():
    """What the study found, where it was asked for, and where to look; nothing before there is a table."""
    asked = {str(target) for target in workflow.dag_settings.targets} or {"all"}
    if STORED:
        print(f"\nIn {workflow.storage_settings.default_storage_prefix.rstrip('/')}/results", file=sys.stderr)
    say_where_other_targets_answer(asked)
    summary, index = Path(str(rules.aggregate_metrics.output.summary)), rules.build_gallery.output.index
    if not summary.is_file() or not asked & {"all", "paper", "everything"}:
        return
    from variad.report.summary import short_text  # it needs pandas, which takes long to import

    print(f"\n{short_text(summary)}\nEvery prompt, added image and anomaly map: {index}", file=sys.stderr)
    print(f"All detectors and metrics: {summary.with_suffix('.md')}", file=sys.stderr)


def say_where_other_targets_answer(asked):
    """Where to look for what `all` does not make, of the targets that were asked for."""
    answers = {
        "ablations": ("What the training sets differ in", rules.compare_training_sets.output.table),
        "selection": (
            "What synthetic anomalies chose, and whether they were right",
            rules.build_selection_page.output.page,
        ),
        "exposure": ("Networks trained on synthetic anomalies, beside others", rules.build_exposure_page.output.page),
    }
    for target, (what, path) in answers.items():
        if asked & {target, "everything"} and Path(str(path)).is_file():
            print(f"\n{what}: {path}", file=sys.stderr)
    if "report" in asked and Path(str(rules.build_report_pages.output[0])).exists():
        print("\nTo hand it on: the same command with --report report.zip", file=sys.stderr)
