# mean, spread and paired gain of every cell of one category
rule aggregate_category:
    input:
        metrics=expand("{cell}/metrics.csv", cell=cells_of_category),
        scores=expand("{cell}/scores.csv", cell=cells_of_category),
        histograms=expand("{cell}/pixel_histograms.h5", cell=cells_of_category),
        published=ROOT / "resources/published/auroc.csv",
        code=code_of("aggregate_category"),
    output:
        table="results/tables/{dataset}/{category}.csv",
        draws="results/tables/{dataset}/{category}.bootstrap.h5",
    log:
        "results/logs/aggregate_category/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/aggregate_category/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        seed=config["run"]["seed"],
    script:
        "../../scripts/aggregate_category.py"


# the face of a run: all categories and their averages
rule aggregate_metrics:
    input:
        draws=draws_of_study,
        published=ROOT / "resources/published/auroc.csv",
        code=code_of("aggregate_metrics"),
    output:
        summary=report(
            "results/tables/summary.csv",
            caption="../report/summary.rst",
            category="Results",
        ),
        page="results/tables/summary.md",
    log:
        "results/logs/aggregate_metrics.log",
    benchmark:
        "results/benchmarks/aggregate_metrics.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        groups=category_groups(),
        caption=config["run"]["caption"],
    script:
        "../../scripts/aggregate_metrics.py"


# tables 5 to 15 of the first document, ours beside the published values
rule compare_published:
    input:
        summary=rules.aggregate_metrics.output.summary,
        published=[
            ROOT / f"resources/published/{name}.csv"
            for name in ("auroc", "table_5_gains", "footnotes")
        ],
        code=code_of("compare_published"),
    output:
        csv=report(
            expand("results/tables/paper/table_{number}.csv", number=PAPER_TABLES),
            caption="../report/published.rst",
            category="Published values",
        ),
        md=expand("results/tables/paper/table_{number}.md", number=PAPER_TABLES),
        tex=expand("results/tables/paper/table_{number}.tex", number=PAPER_TABLES),
    log:
        "results/logs/compare_published.log",
    benchmark:
        "results/benchmarks/compare_published.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        caption=config["run"]["caption"],
    script:
        "../../scripts/compare_published.py"


# logical and structural anomalies apart, and overlap with single defects
rule tabulate_overlap:
    input:
        summary=rules.aggregate_metrics.output.summary,
        code=code_of("tabulate_overlap"),
    output:
        loco=report(
            "results/tables/paper/loco.csv",
            caption="../report/overlap.rst",
            category="Published values",
        ),
        loco_page="results/tables/paper/loco.md",
        aupro=report(
            "results/tables/paper/aupro.csv",
            caption="../report/overlap.rst",
            category="Published values",
        ),
        aupro_page="results/tables/paper/aupro.md",
    log:
        "results/logs/tabulate_overlap.log",
    benchmark:
        "results/benchmarks/tabulate_overlap.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        caption=config["run"]["caption"],
    script:
        "../../scripts/tabulate_overlap.py"


# training sets against each other, for the pairs that the config names
rule compare_training_sets:
    input:
        draws=draws_of_study,
        code=code_of("compare_training_sets"),
    output:
        table="results/tables/contrasts.csv",
    log:
        "results/logs/compare_training_sets.log",
    benchmark:
        "results/benchmarks/compare_training_sets.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        groups=category_groups(),
        pairs=config["study"]["contrasts"],
    script:
        "../../scripts/compare_training_sets.py"


# what the summary was made from
rule record_provenance:
    input:
        summary=rules.aggregate_metrics.output.summary,
        manifests=[
            f"results/{dataset}/{category}/manifest.csv"
            for dataset, category in study_categories()
        ],
        weights=study_weights,
        code=code_of("record_provenance"),
    output:
        record="results/tables/provenance.json",
    log:
        "results/logs/record_provenance.log",
    benchmark:
        "results/benchmarks/record_provenance.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        config=config,
    script:
        "../../scripts/record_provenance.py"
