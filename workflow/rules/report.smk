GALLERY_ASSETS = sorted(
    map(str, (ROOT / "workflow/lib/variad/report/assets").iterdir())
)


# draw parents, optimisation steps and results of a training set
rule plot_contact_sheet:
    input:
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        code=code_of("plot_contact_sheet"),
    output:
        sheet=report(
            f"{CELL}/contact_sheet.png",
            caption="../report/contact_sheet.rst",
            category="Added images",
            subcategory="{dataset} / {category}",
            labels={"scenario": "{scenario}", "training set": "{training_set}"},
        ),
    log:
        "results/logs/plot_contact_sheet/{dataset}.{category}.{scenario}.{training_set}.log",
    benchmark:
        "results/benchmarks/plot_contact_sheet/{dataset}.{category}.{scenario}.{training_set}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
    script:
        "../../scripts/plot_contact_sheet.py"


# draw anomaly maps of a scenario's cells beside image and ground truth; a rule a detector, as each sees its own training sets
for detector in config["study"]["detectors"]:

    rule:
        name:
            f"plot_heatmaps_{detector}"
        input:
            images=rules.pack_category.output.images,
            scores=of_detector(rules.score_test_set.output.scores, detector),
            maps=of_detector(rules.score_test_set.output.maps, detector),
            code=code_of("plot_heatmaps"),
        output:
            sheets=[
                report(
                    expand(
                        f"{CELL}/{detector}/heatmaps.png",
                        training_set=training_set,
                        allow_missing=True,
                    ),
                    caption="../report/heatmaps.rst",
                    category="Anomaly maps",
                    subcategory="{dataset} / {category}",
                    labels={
                        "detector": detector,
                        "scenario": "{scenario}",
                        "training set": training_set,
                    },
                )
                for training_set in training_sets_seen_by(detector)
            ],
        log:
            f"results/logs/plot_heatmaps/{{dataset}}.{{category}}.{{scenario}}.{detector}.log",
        benchmark:
            f"results/benchmarks/plot_heatmaps/{{dataset}}.{{category}}.{{scenario}}.{detector}.tsv"
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=500,
        params:
            detector=detector,
            training_sets=training_sets_seen_by(detector),
        script:
            "../../scripts/plot_heatmaps.py"


# draw gains over `original` with their intervals, from the summary alone
rule plot_gains:
    input:
        summary=rules.aggregate_metrics.output.summary,
        code=code_of("plot_gains"),
    output:
        png="results/figures/gains.png",
        svg=report(
            "results/figures/gains.svg",
            caption="../report/gains.rst",
            category="Results",
            labels={"figure": "gains in AUROC"},
        ),
    log:
        "results/logs/plot_gains.log",
    benchmark:
        "results/benchmarks/plot_gains.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=800,
    script:
        "../../scripts/plot_gains.py"


# make a category's page of the gallery, with all its pictures
rule build_gallery_page:
    input:
        images=rules.pack_category.output.images,
        manifest=rules.index_category.output.manifest,
        shots=rules.sample_shots.output.shots,
        prompts=prompts_of_category,
        added=expand(
            f"{CELL}/added.h5",
            scenario=config["study"]["scenarios"],
            training_set=config["study"]["training_sets"],
            allow_missing=True,
        ),
        scores=expand("{cell}/scores.csv", cell=cells_of_category),
        maps=expand("{cell}/maps/contents.txt", cell=cells_of_category),
        code=code_of("build_gallery_page"),
        assets=GALLERY_ASSETS,
    output:
        page="results/gallery/{dataset}/{category}/contents.txt",
    log:
        "results/logs/build_gallery_page/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/build_gallery_page/{dataset}.{category}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
    script:
        "../../scripts/build_gallery_page.py"


# make the first page of the gallery: table, figure and a card for every category
rule build_gallery:
    input:
        pages=[
            f"results/gallery/{dataset}/{category}/contents.txt"
            for dataset, category in study_categories()
        ],
        summary=rules.aggregate_metrics.output.summary,
        figure=rules.plot_gains.output.svg,
        code=code_of("build_gallery"),
        assets=GALLERY_ASSETS,
    output:
        index="results/gallery/index.html",
    log:
        "results/logs/build_gallery.log",
    benchmark:
        "results/benchmarks/build_gallery.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
    script:
        "../../scripts/build_gallery.py"
