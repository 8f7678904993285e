include: "evaluation_inputs.smk"


PUBLISHED_AUROC = ROOT / "resources/published/auroc.csv"


# mean, spread and paired gain of every cell of one category
rule aggregate_category:
    input:
        metrics=of_category(study_cells, rules.score_test_set.output.metrics),
        scores=of_category(study_cells, rules.score_test_set.output.scores),
        histograms=of_category(study_cells, rules.score_test_set.output.pixel_histograms),
        published=PUBLISHED_AUROC,
    output:
        table="results/tables/{dataset}/{category}.csv",
        draws="results/tables/{dataset}/{category}.bootstrap.h5",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    params:
        seed=config["run"]["seed"],
    script:
        "../../scripts/aggregate_category.py"


# the face of a run: all categories and their averages
rule aggregate_metrics:
    input:
        draws=draws_of_study,
        inventories=files_of(study_categories(), rules.take_inventory.output.inventory),
        train=files_of(study_categories(), of_split("train", rules.pack_category.output.images)),
        test=files_of(study_categories(), of_split("test", rules.pack_category.output.images)),
        chosen=of_all(sets_that_choose_photographs, rules.choose_unlabelled.output.chosen),
        turning=of_all(turning_places, rules.decide_turning.output.turning),
        published=PUBLISHED_AUROC,
    output:
        summary=report(
            "results/tables/summary.csv",
            caption="../report/summary.rst",
            category=IN_REPORT["results"],
            labels=labelled("5. summary.csv", "table to download"),
        ),
        page="results/tables/summary.md",
    conda:
        "../../envs/variad.yaml"
    params:
        groups=category_groups(),
        across=config["study"]["averages"],
        caption=config["run"]["caption"],
        names=["/".join(place) for place in names_of(study_categories())],
        chosen=lambda wildcards: names_of(sets_that_choose_photographs()),
    script:
        "../../scripts/aggregate_metrics.py"


# draw gains over `original` with their intervals, from the summary alone
rule plot_gains:
    input:
        summary=rules.aggregate_metrics.output.summary,
    output:
        **figures_of_others(),
        png="results/figures/gains.png",
        svg=report(
            "results/figures/gains.svg",
            caption="../report/gains.rst",
            category=IN_REPORT["results"],
            labels=labelled("2. gains over the shots alone", "figure"),
        ),
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(800),
    script:
        "../../scripts/plot_gains.py"


# what the summary was made from
rule record_provenance:
    input:
        summary=rules.aggregate_metrics.output.summary,
        manifests=files_of(in_splits(study_categories(), study_splits()), rules.index_category.output.manifest),
        weights=lambda wildcards: study_weights(),
    output:
        record="results/tables/provenance.json",
    conda:
        "../../envs/variad.yaml"
    params:
        config=config,
    script:
        "../../scripts/record_provenance.py"


# training sets against each other, for the pairs that the config names
rule compare_training_sets:
    input:
        draws=draws_of_study,
    output:
        table="results/tables/contrasts.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        groups=category_groups(),
        across=config["study"]["averages"],
        pairs=config["study"]["contrasts"],
    script:
        "../../scripts/compare_training_sets.py"


# compare added images with their parents, and measure how varied and how new they are
rule measure_image_quality:
    input:
        images=parent_images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        real_features=of_spread_extractor(of_split("train", rules.extract_features.output.features)),
        weights=lambda wildcards: weights_of("extractors", spread_extractor()),
        # the backbone of LPIPS where it is on this machine; without it the column stays empty
        lpips=lambda wildcards: find_lpips_backbone(f"{PREFIX}{DOWNLOADS}") or [],
    output:
        table="results/{dataset}/{category}/{scenario}/{training_set}/image_quality.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(2500, 8000),
    params:
        extractor=config["extractors"][spread_extractor()],
    script:
        "../../scripts/measure_image_quality.py"


# how varied and how new real training images are, as a scale for added ones
rule measure_real_spread:
    input:
        shots=rules.sample_shots.output.shots,
        features=of_spread_extractor(of_split("train", rules.extract_features.output.features)),
    output:
        table="results/{dataset}/{category}/real_spread.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        scenarios=config["study"]["scenarios"],
    script:
        "../../scripts/measure_real_spread.py"


# image quality of every training set of the study
rule aggregate_image_quality:
    input:
        tables=of_all(sets_that_add_images, rules.measure_image_quality.output.table),
        real=files_of(study_categories(), rules.measure_real_spread.output.table),
    output:
        table="results/tables/image_quality.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        training_sets=lambda wildcards: names_of(sets_that_add_images()),
        categories=names_of(study_categories()),
    script:
        "../../scripts/aggregate_image_quality.py"
