# compare added images with their parents, and measure how varied and how new they are
rule measure_image_quality:
    input:
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        real_features=f"results/{{dataset}}/{{category}}/features/{spread_extractor()}.h5",
        added_features=f"{CELL}/features/{spread_extractor()}.h5",
        lpips=lpips_weights,
        code=code_of("measure_image_quality"),
    output:
        table=f"{CELL}/image_quality.csv",
    log:
        "results/logs/measure_image_quality/{dataset}.{category}.{scenario}.{training_set}.log",
    benchmark:
        "results/benchmarks/measure_image_quality/{dataset}.{category}.{scenario}.{training_set}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2500 * attempt,
    script:
        "../../scripts/measure_image_quality.py"


# how varied and how new real training images are, as a scale for added ones
rule measure_real_spread:
    input:
        manifest=rules.index_category.output.manifest,
        shots=rules.sample_shots.output.shots,
        features=f"results/{{dataset}}/{{category}}/features/{spread_extractor()}.h5",
        code=code_of("measure_real_spread"),
    output:
        table="results/{dataset}/{category}/real_spread.csv",
    log:
        "results/logs/measure_real_spread/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/measure_real_spread/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        scenarios=config["study"]["scenarios"],
    script:
        "../../scripts/measure_real_spread.py"


# image quality of every training set of the study
rule aggregate_image_quality:
    input:
        tables=image_quality_files(),
        real=[
            f"results/{dataset}/{category}/real_spread.csv"
            for dataset, category in study_categories()
        ],
        code=code_of("aggregate_image_quality"),
    output:
        table="results/tables/image_quality.csv",
    log:
        "results/logs/aggregate_image_quality.log",
    benchmark:
        "results/benchmarks/aggregate_image_quality.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        training_sets=training_sets_with_images(),
        categories=study_categories(),
    script:
        "../../scripts/aggregate_image_quality.py"


# what every training set makes of the same shots
rule plot_training_sets:
    input:
        images=rules.pack_category.output.images,
        added=expand(
            "results/{{dataset}}/{{category}}/{{scenario}}/{training_set}/added.h5",
            training_set=config["study"]["training_sets"],
        ),
        code=code_of("plot_training_sets"),
    output:
        figure="results/figures/training_sets/{dataset}/{category}.{scenario}.png",
    log:
        "results/logs/plot_training_sets/{dataset}.{category}.{scenario}.log",
    benchmark:
        "results/benchmarks/plot_training_sets/{dataset}.{category}.{scenario}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        sets=config["study"]["training_sets"],
    script:
        "../../scripts/plot_training_sets.py"
