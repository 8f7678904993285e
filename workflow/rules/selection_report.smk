# real against synthetic AUROC of every detector or prompt: figures 4 and 5 of the second document
rule plot_selection:
    input:
        points=rules.aggregate_selection.output.points,
        code=code_of("plot_selection"),
    output:
        png="results/figures/{choice}_{benchmark}.png",
        svg=report(
            "results/figures/{choice}_{benchmark}.svg",
            caption="../report/selection_scatter.rst",
            category="Selection",
            labels={
                "figure": "real against synthetic AUROC",
                "choice": "{choice}",
                "benchmark": "{benchmark}",
            },
        ),
    log:
        "results/logs/plot_selection/{choice}.{benchmark}.log",
    benchmark:
        "results/benchmarks/plot_selection/{choice}.{benchmark}.tsv"
    wildcard_constraints:
        choice="selection|templates",
        benchmark=one_of([*CLASS_BENCHMARKS, *DEFECT_BENCHMARKS]),
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    script:
        "../../scripts/plot_selection.py"


# how well every source ranks detectors or prompts, beside what half of the real test says about the other half
rule plot_selection_tau:
    input:
        table="results/tables/{choice}.csv",
        code=code_of("plot_selection_tau"),
    output:
        png="results/figures/{choice}_tau.png",
        svg=report(
            "results/figures/{choice}_tau.svg",
            caption="../report/selection_tau.rst",
            category="Selection",
            labels={"figure": "rank correlation", "choice": "{choice}"},
        ),
    log:
        "results/logs/plot_selection_tau/{choice}.log",
    benchmark:
        "results/benchmarks/plot_selection_tau/{choice}.tsv"
    wildcard_constraints:
        choice="selection|templates",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    script:
        "../../scripts/plot_selection_tau.py"


# the page of selection, which the gallery's first page links once it is there
rule build_selection_page:
    input:
        selection=rules.aggregate_selection.output.selection_text,
        templates=lambda wildcards: template_files("results/tables/templates.md"),
        recipes=lambda wildcards: [
            path for path in recipe_files() if path.endswith(".md")
        ],
        tau="results/figures/selection_tau.svg",
        scatter=lambda wildcards: selection_figures("selection", "svg"),
        template_scatter=lambda wildcards: selection_figures("templates", "svg"),
        picture="results/figures/selection_tau.png",
        sheets=lambda wildcards: list(anomaly_sheets().values()),
        code=code_of("build_selection_page"),
        assets=GALLERY_ASSETS,
    output:
        page="results/gallery/selection.html",
        link="results/gallery/selection.js",
    log:
        "results/logs/build_selection_page.log",
    benchmark:
        "results/benchmarks/build_selection_page.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        labels=lambda wildcards: list(anomaly_sheets()),
    script:
        "../../scripts/build_selection_page.py"


# the page of outlier exposure, likewise
rule build_exposure_page:
    input:
        table=rules.judge_exposure.output.page,
        figure=rules.plot_exposure.output.svg,
        picture=rules.plot_exposure.output.png,
        code=code_of("build_exposure_page"),
        assets=GALLERY_ASSETS,
    output:
        page="results/gallery/exposure.html",
        link="results/gallery/exposure.js",
    log:
        "results/logs/build_exposure_page.log",
    benchmark:
        "results/benchmarks/build_exposure_page.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    script:
        "../../scripts/build_exposure_page.py"
