# draw the normal images that each run may see: detector bank, seeds of synthesis, validation; nothing else is seen before the choice
rule sample_support:
    input:
        manifest=rules.index_category.output.manifest,
        code=code_of("sample_support"),
    output:
        support="results/{dataset}/{category}/support.csv",
    log:
        "results/logs/sample_support/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/sample_support/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        counts=support_counts,
        runs=lambda wildcards: selection_of(config, wildcards.dataset)["runs"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/sample_support.py"


# score validation normals and the anomalies of every source with one set of candidates; no manifest of the data set, no real label
rule score_synthetic:
    input:
        images=rules.pack_category.output.images,
        support=rules.sample_support.output.support,
        anomalies=anomalies_of_sources("anomalies.h5"),
        manifests=anomalies_of_sources("manifest.csv"),
        weights=weights_of_candidates,
        classes=classes_of_candidates,
        code=code_of("score_synthetic"),
        method=candidate_code,
    output:
        scores="results/{dataset}/{category}/selection/{candidate_set}/synthetic.csv",
        candidates="results/{dataset}/{category}/selection/{candidate_set}/candidates.csv",
    log:
        "results/logs/score_synthetic/{dataset}.{category}.{candidate_set}.log",
    benchmark:
        "results/benchmarks/score_synthetic/{dataset}.{category}.{candidate_set}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        candidates=lookup(within=config, dpath="candidates/{candidate_set}"),
        around=around_candidates,
        sources=lambda wildcards: selection_of(config, wildcards.dataset)["sources"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/score_synthetic.py"


# the candidates with the highest synthetic AUROC of every source; all that it reads are synthetic scores
rule select_candidates:
    input:
        scores=of_candidate_sets("synthetic.csv"),
        candidates=of_candidate_sets("candidates.csv"),
        code=code_of("select_candidates"),
    output:
        choices="results/{dataset}/{category}/selection/choices.csv",
        aurocs="results/{dataset}/{category}/selection/synthetic_auroc.csv",
    log:
        "results/logs/select_candidates/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/select_candidates/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    params:
        default=lambda wildcards: selection_of(config, wildcards.dataset)["default"],
    script:
        "../../scripts/select_candidates.py"


# score the real test images with one set of candidates
rule score_real:
    input:
        images=rules.pack_category.output.images,
        support=rules.sample_support.output.support,
        manifest=rules.index_category.output.manifest,
        weights=weights_of_candidates,
        classes=classes_of_candidates,
        code=code_of("score_real"),
        method=candidate_code,
    output:
        scores="results/{dataset}/{category}/selection/{candidate_set}/real.csv",
    log:
        "results/logs/score_real/{dataset}.{category}.{candidate_set}.log",
    benchmark:
        "results/benchmarks/score_real/{dataset}.{category}.{candidate_set}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        candidates=lookup(within=config, dpath="candidates/{candidate_set}"),
        around=around_candidates,
        seed=config["run"]["seed"],
    script:
        "../../scripts/score_real.py"


# what each choice is worth on real data; the first rule of selection that sees a label of a test image
rule judge_selection:
    input:
        choices=rules.select_candidates.output.choices,
        candidates=of_candidate_sets("candidates.csv"),
        synthetic=of_candidate_sets("synthetic.csv"),
        real=of_candidate_sets("real.csv"),
        manifest=rules.index_category.output.manifest,
        code=code_of("judge_selection"),
    output:
        judged="results/{dataset}/{category}/selection/judged.csv",
        points="results/{dataset}/{category}/selection/points.csv",
        draws="results/{dataset}/{category}/selection/tau_draws.h5",
    log:
        "results/logs/judge_selection/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/judge_selection/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    params:
        benchmarks=benchmarks_of,
        seed=config["run"]["seed"],
    script:
        "../../scripts/judge_selection.py"


# the tables of the second document's study, and the points of its figures 4 and 5
rule aggregate_selection:
    input:
        judged=of_selection("judged.csv"),
        points=of_selection("points.csv"),
        draws=of_selection("tau_draws.h5"),
        code=code_of("aggregate_selection"),
    output:
        selection="results/tables/selection.csv",
        selection_text="results/tables/selection.md",
        templates="results/tables/templates.csv",
        templates_text="results/tables/templates.md",
        points="results/tables/selection_points.csv",
    log:
        "results/logs/aggregate_selection.log",
    benchmark:
        "results/benchmarks/aggregate_selection.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    params:
        groups=category_groups(),
        caption=config["run"]["caption"],
    script:
        "../../scripts/aggregate_selection.py"
