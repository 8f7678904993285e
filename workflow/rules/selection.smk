include: "selection_inputs.smk"


# score validation normals and the anomalies of every source with one set of candidates; no manifest of the data set, no real label
rule score_synthetic:
    input:
        images=of_split("train", rules.pack_category.output.images),
        support=rules.sample_support.output.support,
        anomalies=of_sources(selection_sources, rules.make_anomalies.output.images),
        manifests=of_sources(selection_sources, rules.make_anomalies.output.manifest),
        weights=weights_of_candidates,
        classes=classes_of_candidates,
        method=candidate_code,
    output:
        scores="results/{dataset}/{category}/selection/{candidate_set}/synthetic.csv",
        candidates="results/{dataset}/{category}/selection/{candidate_set}/candidates.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        candidates=candidates_of,
        around=around_candidates,
        sources=lambda wildcards: selection_sources(wildcards.dataset),
        seed=config["run"]["seed"],
    script:
        "../../scripts/score_synthetic.py"


# the candidates with the highest synthetic AUROC of every source; all that it reads are synthetic scores
rule select_candidates:
    input:
        scores=of_candidate_sets(rules.score_synthetic.output.scores),
        candidates=of_candidate_sets(rules.score_synthetic.output.candidates),
    output:
        choices="results/{dataset}/{category}/selection/choices.csv",
        aurocs="results/{dataset}/{category}/selection/synthetic_auroc.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    params:
        default=lambda wildcards: selection_of(config, wildcards.dataset)["default"],
    script:
        "../../scripts/select_candidates.py"


# score the real test images with one set of candidates
rule score_real:
    input:
        images=of_splits(rules.pack_category.output.images),
        support=rules.sample_support.output.support,
        manifest=of_split("test", rules.index_category.output.manifest),
        weights=weights_of_candidates,
        classes=classes_of_candidates,
        method=candidate_code,
    output:
        scores="results/{dataset}/{category}/selection/{candidate_set}/real.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        candidates=candidates_of,
        around=around_candidates,
        seed=config["run"]["seed"],
    script:
        "../../scripts/score_real.py"


# what each choice is worth on real data; the first rule of selection that sees a label of a test image
rule judge_selection:
    input:
        choices=rules.select_candidates.output.choices,
        candidates=of_candidate_sets(rules.score_synthetic.output.candidates),
        synthetic=of_candidate_sets(rules.score_synthetic.output.scores),
        real=of_candidate_sets(rules.score_real.output.scores),
        manifest=of_split("test", rules.index_category.output.manifest),
    output:
        judged="results/{dataset}/{category}/selection/judged.csv",
        points="results/{dataset}/{category}/selection/points.csv",
        draws="results/{dataset}/{category}/selection/tau_draws.h5",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    params:
        benchmarks=lambda wildcards: benchmarks_of(wildcards.dataset),
        seed=config["run"]["seed"],
    script:
        "../../scripts/judge_selection.py"


# the tables of the second document's study, and the points of its figures 4 and 5
rule aggregate_selection:
    input:
        judged=of_all(selection_places, rules.judge_selection.output.judged),
        points=of_all(selection_places, rules.judge_selection.output.points),
        draws=of_all(selection_places, rules.judge_selection.output.draws),
    output:
        selection="results/tables/selection.csv",
        selection_text="results/tables/selection.md",
        templates="results/tables/templates.csv",
        templates_text="results/tables/templates.md",
        points="results/tables/selection_points.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    params:
        groups=category_groups(),
        caption=config["run"]["caption"],
    script:
        "../../scripts/aggregate_selection.py"


# real against synthetic AUROC of every detector or prompt: figures 4 and 5 of the second document
rule plot_selection:
    input:
        points=rules.aggregate_selection.output.points,
    output:
        png="results/figures/{choice}_{benchmark}.png",
        svg=report(
            "results/figures/{choice}_{benchmark}.svg",
            caption="../report/selection_scatter.rst",
            category=IN_REPORT["selection"],
            labels=labelled("real against synthetic AUROC: {choice}, {benchmark}", "figure"),
        ),
    wildcard_constraints:
        choice="selection|templates",
        benchmark=one_of([*CLASS_BENCHMARKS, *DEFECT_BENCHMARKS]),
    conda:
        "../../envs/variad.yaml"
    script:
        "../../scripts/plot_selection.py"


# how well every source ranks detectors or prompts, beside what half of the real test says about the other half
rule plot_selection_tau:
    input:
        table=lambda wildcards: rules.aggregate_selection.output[wildcards.choice],
    output:
        png="results/figures/{choice}_tau.png",
        svg=report(
            "results/figures/{choice}_tau.svg",
            caption="../report/selection_tau.rst",
            category=IN_REPORT["selection"],
            labels=labelled("rank correlation: {choice}", "figure"),
        ),
    wildcard_constraints:
        choice="selection|templates",
    conda:
        "../../envs/variad.yaml"
    script:
        "../../scripts/plot_selection_tau.py"
