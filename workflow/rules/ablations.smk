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


COMPONENT_TABLES = {"17": "encoders_and_strategies", "18": "strategies"}
PUBLISHED_ABLATIONS = ROOT / "resources/published/ablations.csv"


# table 4: the prompts that match the shots best and worst, beside the published ones
rule compare_prompts:
    input:
        choices=prompts_of_ablation,
        published=PUBLISHED_ABLATIONS,
        code=code_of("compare_prompts"),
    output:
        csv=report(
            "results/tables/paper/table_04.csv",
            caption="../report/ablation.rst",
            category="Published values",
        ),
        md="results/tables/paper/table_04.md",
        tex="results/tables/paper/table_04.tex",
    log:
        "results/logs/compare_prompts.log",
    benchmark:
        "results/benchmarks/compare_prompts.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("prompts"),
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_prompts.py"


# table 16: image quality and AUROC of the forms of the latent
rule compare_variance_forms:
    input:
        metrics=lambda wildcards: files_of_ablation("variance_forms", "metrics.csv"),
        quality=lambda wildcards: images_of_forms("image_quality.csv"),
        published=PUBLISHED_ABLATIONS,
        code=code_of("compare_variance_forms"),
    output:
        csv=report(
            "results/tables/paper/table_16.csv",
            caption="../report/ablation.rst",
            category="Published values",
        ),
        md="results/tables/paper/table_16.md",
        tex="results/tables/paper/table_16.tex",
    log:
        "results/logs/compare_variance_forms.log",
    benchmark:
        "results/benchmarks/compare_variance_forms.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("variance_forms"),
        views=lambda wildcards: [
            config["training_sets"][name]["view"]
            for name in training_sets_of(ablation("variance_forms"))
        ],
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_variance_forms.py"


# tables 17 and 18: encoders and augmentation strategies, category by category
rule compare_components:
    input:
        metrics=lambda wildcards: files_of_ablation(
            COMPONENT_TABLES[wildcards.number], "metrics.csv"
        ),
        published=PUBLISHED_ABLATIONS,
        code=code_of("compare_components"),
    output:
        csv=report(
            "results/tables/paper/table_{number}.csv",
            caption="../report/ablation.rst",
            category="Published values",
        ),
        md="results/tables/paper/table_{number}.md",
        tex="results/tables/paper/table_{number}.tex",
    log:
        "results/logs/compare_components/table_{number}.log",
    benchmark:
        "results/benchmarks/compare_components/table_{number}.tsv"
    wildcard_constraints:
        number=one_of(COMPONENT_TABLES),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation(COMPONENT_TABLES[wildcards.number]),
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_components.py"


# figure 16: what the forms of the latent make of the same shots
rule plot_variance_forms:
    input:
        images=lambda wildcards: [
            f"results/{ablation('variance_forms')['dataset']}/{category}/images.h5"
            for category in ablation("variance_forms")["categories"]
        ],
        added=lambda wildcards: images_of_forms("added.h5"),
        quality=lambda wildcards: images_of_forms("image_quality.csv"),
        code=code_of("plot_variance_forms"),
    output:
        table="results/tables/paper/figure_16.csv",
        png=report(
            "results/figures/paper/figure_16.png",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_variance_forms.log",
    benchmark:
        "results/benchmarks/plot_variance_forms.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("variance_forms"),
    script:
        "../../scripts/plot_variance_forms.py"


# figure 12: real, generated and defective images in one plane
rule embed_tsne:
    input:
        unpack(tsne_input),
        code=code_of("embed_tsne"),
    output:
        table="results/tables/paper/figure_12.csv",
    log:
        "results/logs/embed_tsne.log",
    benchmark:
        "results/benchmarks/embed_tsne.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    params:
        run=lambda wildcards: ablation("tsne")["run"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/embed_tsne.py"


rule plot_tsne:
    input:
        table=rules.embed_tsne.output.table,
        code=code_of("plot_tsne"),
    output:
        png="results/figures/paper/figure_12.png",
        svg=report(
            "results/figures/paper/figure_12.svg",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_tsne.log",
    benchmark:
        "results/benchmarks/plot_tsne.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=800,
    params:
        entry=lambda wildcards: ablation("tsne"),
    script:
        "../../scripts/plot_tsne.py"


# figures 11, 13 and 14: anomaly maps of the shots alone beside those with added images
rule plot_map_pairs:
    input:
        images=lambda wildcards: [
            f"results/{cell['dataset']}/{cell['category']}/images.h5"
            for cell in names_of_ablation(f"maps.{wildcards.figure}")
        ],
        scores=lambda wildcards: files_of_ablation(
            f"maps.{wildcards.figure}", "scores.csv"
        ),
        maps=lambda wildcards: files_of_ablation(
            f"maps.{wildcards.figure}", "maps/contents.txt"
        ),
        code=code_of("plot_map_pairs"),
    output:
        table="results/tables/paper/{figure}.csv",
        png=report(
            "results/figures/paper/{figure}.png",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_map_pairs/{figure}.log",
    benchmark:
        "results/benchmarks/plot_map_pairs/{figure}.tsv"
    wildcard_constraints:
        figure=one_of(config["ablations"].get("maps") or ["none"]),
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        cells=lambda wildcards: names_of_ablation(f"maps.{wildcards.figure}"),
    script:
        "../../scripts/plot_map_pairs.py"


# figure 15: images while they are guided, and AUROC against the number of iterations
rule plot_iterations:
    input:
        metrics=lambda wildcards: files_of_ablation("iterations", "metrics.csv"),
        added=most_guided,
        code=code_of("plot_iterations"),
    output:
        table="results/tables/paper/figure_15.csv",
        png="results/figures/paper/figure_15.png",
        svg=report(
            "results/figures/paper/figure_15.svg",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_iterations.log",
    benchmark:
        "results/benchmarks/plot_iterations.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("iterations"),
        iterations=iterations_of_ablation,
    script:
        "../../scripts/plot_iterations.py"


# figure 17: the categories where added images help least
rule plot_lowest_gains:
    input:
        metrics=lambda wildcards: files_of_ablation("lowest_gains", "metrics.csv"),
        published=ROOT / "resources/published/auroc.csv",
        code=code_of("plot_lowest_gains"),
    output:
        table="results/tables/paper/figure_17.csv",
        png="results/figures/paper/figure_17.png",
        svg=report(
            "results/figures/paper/figure_17.svg",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_lowest_gains.log",
    benchmark:
        "results/benchmarks/plot_lowest_gains.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("lowest_gains"),
        categories=lambda wildcards: list(
            config["datasets"][ablation("lowest_gains")["dataset"]]["categories"]
        ),
    script:
        "../../scripts/plot_lowest_gains.py"


# figure 18: AUROC against the number of added images
rule plot_counts:
    input:
        metrics=lambda wildcards: files_of_ablation("counts", "metrics.csv"),
        added=added_of_counts,
        code=code_of("plot_counts"),
    output:
        table="results/tables/paper/figure_18.csv",
        png="results/figures/paper/figure_18.png",
        svg=report(
            "results/figures/paper/figure_18.svg",
            caption="../report/ablation.rst",
            category="Published values",
        ),
    log:
        "results/logs/plot_counts.log",
    benchmark:
        "results/benchmarks/plot_counts.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        entry=lambda wildcards: ablation("counts"),
        cells=lambda wildcards: names_of_ablation("counts"),
    script:
        "../../scripts/plot_counts.py"
