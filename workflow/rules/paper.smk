include: "paper_inputs.smk"


# tables 5 to 15 are of AUROC
PAPER_TABLES = [f"results/tables/paper/table_{number:02d}" for number in range(5, 16)]
COMPONENT_TABLES = {"17": "encoders_and_strategies", "18": "strategies"}
PUBLISHED_ABLATIONS = ROOT / "resources/published/ablations.csv"


# tables 5 to 15 of the first document, ours beside the published values
rule compare_published:
    input:
        summary=rules.aggregate_metrics.output.summary,
        published=[ROOT / f"resources/published/{name}.csv" for name in ("auroc", "table_5_gains", "footnotes")],
    output:
        csv=published(expand("{table}.csv", table=PAPER_TABLES), "published"),
        md=expand("{table}.md", table=PAPER_TABLES),
        tex=expand("{table}.tex", table=PAPER_TABLES),
        told="results/tables/paper/published.txt",
    conda:
        "../../envs/variad.yaml"
    params:
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_published.py"


# logical and structural anomalies apart, and overlap with single defects
rule tabulate_overlap:
    input:
        summary=rules.aggregate_metrics.output.summary,
    output:
        loco=published("results/tables/paper/loco.csv", "overlap"),
        loco_page="results/tables/paper/loco.md",
        aupro=published("results/tables/paper/aupro.csv", "overlap"),
        aupro_page="results/tables/paper/aupro.md",
    conda:
        "../../envs/variad.yaml"
    params:
        caption=config["run"]["caption"],
    script:
        "../../scripts/tabulate_overlap.py"


# table 4: the prompts that match the shots best and worst, beside the published ones
rule compare_prompts:
    input:
        choices=of_all(ablation_prompts, rules.score_prompts.output.choice),
        published=PUBLISHED_ABLATIONS,
    output:
        csv=published("results/tables/paper/table_04.csv"),
        md="results/tables/paper/table_04.md",
        tex="results/tables/paper/table_04.tex",
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("prompts"),
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_prompts.py"


# table 16: image quality and AUROC of the forms of the latent
rule compare_variance_forms:
    input:
        metrics=of_ablation("variance_forms", rules.score_test_set.output.metrics),
        quality=of_all(variance_forms, rules.measure_image_quality.output.table),
        published=PUBLISHED_ABLATIONS,
    output:
        csv=published("results/tables/paper/table_16.csv"),
        md="results/tables/paper/table_16.md",
        tex="results/tables/paper/table_16.tex",
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("variance_forms"),
        views=lambda wildcards: list(settings_of_ablation("variance_forms", "view").values()),
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_variance_forms.py"


# tables 17 and 18: encoders and augmentation strategies, category by category
rule compare_components:
    input:
        metrics=lambda wildcards: files_of(
            ablation_cells(COMPONENT_TABLES[wildcards.number]), rules.score_test_set.output.metrics
        ),
        published=PUBLISHED_ABLATIONS,
    output:
        csv=published("results/tables/paper/table_{number}.csv"),
        md="results/tables/paper/table_{number}.md",
        tex="results/tables/paper/table_{number}.tex",
    wildcard_constraints:
        number=one_of(COMPONENT_TABLES),
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation(COMPONENT_TABLES[wildcards.number]),
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_components.py"


# figure 16: what the forms of the latent make of the same shots
rule plot_variance_forms:
    input:
        images=lambda wildcards: files_of(
            ablation_categories("variance_forms"), of_split("train", rules.pack_category.output.images)
        ),
        added=of_all(variance_forms, rules.build_training_set.output.images),
        quality=of_all(variance_forms, rules.measure_image_quality.output.table),
    output:
        table="results/tables/paper/figure_16.csv",
        png=published("results/figures/paper/figure_16.png"),
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("variance_forms"),
    script:
        "../../scripts/plot_variance_forms.py"


# figure 12: real, generated and defective images in one plane
rule embed_tsne:
    input:
        unpack(tsne_input),
    output:
        table="results/tables/paper/figure_12.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(2500, 8000),
    params:
        run=lambda wildcards: ablation("tsne")["run"],
        extractor=lambda wildcards: config["extractors"][extractor_of(ablation("tsne"))],
        seed=config["run"]["seed"],
    script:
        "../../scripts/embed_tsne.py"


rule plot_tsne:
    input:
        table=rules.embed_tsne.output.table,
    output:
        png="results/figures/paper/figure_12.png",
        svg=published("results/figures/paper/figure_12.svg"),
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(800),
    params:
        entry=lambda wildcards: ablation("tsne"),
    script:
        "../../scripts/plot_tsne.py"


# figures 11, 13 and 14: anomaly maps of the shots alone beside those with added images
rule plot_map_pairs:
    input:
        images=of_ablation("maps.{figure}", of_split("test", rules.pack_category.output.images)),
        scores=of_ablation("maps.{figure}", rules.score_test_set.output.scores),
        maps=of_ablation("maps.{figure}", rules.score_test_set.output.maps),
    output:
        table="results/tables/paper/{figure}.csv",
        png=published("results/figures/paper/{figure}.png"),
    wildcard_constraints:
        figure=one_of(config["ablations"].get("maps") or ["none"]),
    conda:
        "../../envs/variad.yaml"
    params:
        cells=lambda wildcards: ablation_cells(f"maps.{wildcards.figure}"),
    script:
        "../../scripts/plot_map_pairs.py"


# figure 15: images while they are guided, and AUROC against the number of iterations
rule plot_iterations:
    input:
        metrics=of_ablation("iterations", rules.score_test_set.output.metrics),
        added=most_guided,
    output:
        table="results/tables/paper/figure_15.csv",
        png="results/figures/paper/figure_15.png",
        svg=published("results/figures/paper/figure_15.svg"),
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("iterations"),
        iterations=lambda wildcards: settings_of_ablation("iterations", "iterations"),
    script:
        "../../scripts/plot_iterations.py"


# figure 17: the categories where added images help least
rule plot_lowest_gains:
    input:
        metrics=of_ablation("lowest_gains", rules.score_test_set.output.metrics),
        published=PUBLISHED_AUROC,
    output:
        table="results/tables/paper/figure_17.csv",
        png="results/figures/paper/figure_17.png",
        svg=published("results/figures/paper/figure_17.svg"),
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("lowest_gains"),
        categories=lambda wildcards: list(config["datasets"][ablation("lowest_gains")["dataset"]]["categories"]),
    script:
        "../../scripts/plot_lowest_gains.py"


# figure 18: AUROC against the number of added images
rule plot_counts:
    input:
        metrics=of_ablation("counts", rules.score_test_set.output.metrics),
        added=of_ablation("counts", rules.build_training_set.output.images),
    output:
        table="results/tables/paper/figure_18.csv",
        png="results/figures/paper/figure_18.png",
        svg=published("results/figures/paper/figure_18.svg"),
    conda:
        "../../envs/variad.yaml"
    params:
        entry=lambda wildcards: ablation("counts"),
        cells=lambda wildcards: ablation_cells("counts"),
    script:
        "../../scripts/plot_counts.py"
