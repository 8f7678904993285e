include: "report_inputs.smk"


GALLERY_ASSETS = [
    str(path)
    for room in ("inspect", "report")
    for path in sorted((ROOT / "workflow/lib/variad" / room / "assets").iterdir())
]


# draw anomaly maps of a scenario's cells beside image and ground truth; a rule a detector, as each sees its own training sets
for rule_name, detector, scenarios, seen in sheets_of_heatmaps():

    rule:
        name:
            rule_name
        input:
            images=of_split("test", rules.pack_category.output.images),
            scores=expand(rules.score_test_set.output.scores, training_set=seen, detector=detector, allow_missing=True),
            maps=expand(rules.score_test_set.output.maps, training_set=seen, detector=detector, allow_missing=True),
        output:
            sheets=[
                f"results/{{dataset}}/{{category}}/{{scenario}}/{training_set}/{detector}/heatmaps.png"
                for training_set in seen
            ],
            small=[
                report(
                    f"results/report/sheets/{{dataset}}/{{category}}/{{scenario}}/{training_set}/{detector}.jpg",
                    caption="../report/heatmaps.rst",
                    category=IN_REPORT["maps"],
                    subcategory="{dataset} / {category}",
                    labels={"detector": numbered(detector), "scenario": "{scenario}", "training set": training_set},
                )
                for training_set in seen
            ],
        # all of them in one folder, as their costs are those of one kind of job
        log:
            f"results/logs/plot_heatmaps/{{dataset}}.{{category}}.{{scenario}}.{detector}.log",
        benchmark:
            f"results/benchmarks/plot_heatmaps/{{dataset}}.{{category}}.{{scenario}}.{detector}.tsv"
        wildcard_constraints:
            scenario="|".join(scenarios),
        conda:
            "../../envs/variad.yaml"
        resources:
            **job(500),
        params:
            detector=detector,
            training_sets=seen,
        script:
            "../../scripts/plot_heatmaps.py"


# make a category's page of the gallery, with all its pictures
rule build_gallery_page:
    input:
        images=of_shown_splits(rules.pack_category.output.images),
        manifests=of_shown_splits(rules.index_category.output.manifest),
        inventory=rules.take_inventory.output.inventory,
        shots=rules.sample_shots.output.shots,
        prompts=of_category(study_prompts, rules.score_prompts.output.choice),
        added=of_category(study_training_sets, rules.build_training_set.output.images),
        scores=of_category(study_cells, rules.score_test_set.output.scores),
        maps=of_category(study_cells, rules.score_test_set.output.maps),
        turning=of_category(turning_places, rules.decide_turning.output.turning),
        assets=GALLERY_ASSETS,
    output:
        page="results/gallery/{dataset}/{category}/contents.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(1500),
    script:
        "../../scripts/build_gallery_page.py"


# make the page of a category's predictions, which the gallery's page of it links, and the ranking for the terminal
rule build_predictions_page:
    input:
        predictions=of_predict(rules.predict_images.output.predictions),
        regions=of_predict(rules.predict_images.output.regions),
        heatmaps=of_predict(rules.predict_images.output.heatmaps),
        held_out=of_predict(rules.score_held_out.output.scores),
        manifest=of_split("unlabelled", rules.index_category.output.manifest),
        images=of_split("unlabelled", rules.pack_category.output.images),
        train_manifest=of_split("train", rules.index_category.output.manifest),
        train_images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        assets=GALLERY_ASSETS,
    output:
        page="results/gallery/{dataset}/{category}.predictions.html",
        link="results/gallery/{dataset}/{category}.predictions.js",
        ranking="results/gallery/{dataset}/{category}.predictions.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(1500),
    params:
        scenario=config["predict"]["scenario"],
        look=config["predict"]["look"],
        quantile=config["predict"]["quantile"],
    script:
        "../../scripts/build_predictions_page.py"


# make the first page of the gallery: table, figure and a card for every category
rule build_gallery:
    input:
        pages=files_of(study_categories(), rules.build_gallery_page.output.page),
        summary=rules.aggregate_metrics.output.summary,
        figure=rules.plot_gains.output.svg,
        assets=GALLERY_ASSETS,
    output:
        index="results/gallery/index.html",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(500),
    script:
        "../../scripts/build_gallery.py"


# what Snakemake's report shows beside figures and sheets: its first words, tables to read, costs, and the gallery with smaller pictures
rule build_report_pages:
    input:
        summary=rules.aggregate_metrics.output.summary,
        tables=rules.aggregate_metrics.output.page,
        figures=lambda wildcards: figures_of_report(),
        index=rules.build_gallery.output.index,
        pages=files_of(study_categories(), rules.build_gallery_page.output.page),
        style=GALLERY_ASSETS,
    output:
        home="results/report/home.html",
        result=report(
            "results/report/result.html",
            caption="../report/result.rst",
            category=IN_REPORT["results"],
            labels=labelled("1. what helped, with all tables", "page"),
        ),
        gallery=report(
            directory("results/report/gallery"),
            caption="../report/gallery.rst",
            category=IN_REPORT["results"],
            labels=labelled("4. every image behind the numbers", "pages"),
            htmlindex="index.html",
        ),
        cost=report(
            "results/report/cost.html",
            caption="../report/cost.rst",
            category=IN_REPORT["cost"],
            labels=labelled("what the study took", "page"),
        ),
    conda:
        "../../envs/variad.yaml"
    params:
        benchmarks=f"{PREFIX}results/benchmarks",
    script:
        "../../scripts/build_report_pages.py"


# the page of selection, which the gallery's first page links once it is there
rule build_selection_page:
    input:
        selection=rules.aggregate_selection.output.selection_text,
        templates=lambda wildcards: with_templates(rules.aggregate_selection.output.templates_text),
        recipes=lambda wildcards: [rules.judge_recipes.output.page] if recipe_places() else [],
        tau=file_of(rules.plot_selection_tau.output.svg, choice="selection"),
        scatter=lambda wildcards: of_benchmarks(rules.plot_selection.output.svg, "selection"),
        template_scatter=lambda wildcards: with_templates(*of_benchmarks(rules.plot_selection.output.svg, "templates")),
        picture=file_of(rules.plot_selection_tau.output.png, choice="selection"),
        sheets=of_all(shown_sources, rules.plot_anomalies.output.small),
        assets=GALLERY_ASSETS,
    output:
        page=report(
            "results/gallery/selection.html",
            caption="../report/selection.rst",
            category=IN_REPORT["selection"],
            labels=labelled("all tables and figures", "page"),
        ),
        link="results/gallery/selection.js",
    conda:
        "../../envs/variad.yaml"
    params:
        labels=lambda wildcards: ["{dataset} / {category}: {source}".format(**place) for place in shown_sources()],
    script:
        "../../scripts/build_selection_page.py"


# the page of outlier exposure, likewise
rule build_exposure_page:
    input:
        table=rules.judge_exposure.output.page,
        figure=rules.plot_exposure.output.svg,
        picture=rules.plot_exposure.output.png,
        assets=GALLERY_ASSETS,
    output:
        page=report(
            "results/gallery/exposure.html",
            caption="../report/exposure_page.rst",
            category=IN_REPORT["exposure"],
            labels=labelled("all tables and figures", "page"),
        ),
        link="results/gallery/exposure.js",
    conda:
        "../../envs/variad.yaml"
    script:
        "../../scripts/build_exposure_page.py"
