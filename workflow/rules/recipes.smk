# score validation normals and synthetic anomalies with the detectors of a category's cells; no label of a real image
rule score_recipes:
    input:
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        support=rules.sample_support.output.support,
        models=lambda wildcards: [
            f"{folder}/model/contents.txt"
            for folder in recipe_cells(wildcards).values()
        ],
        anomalies=anomalies_of_recipes("anomalies.h5"),
        manifests=anomalies_of_recipes("manifest.csv"),
        weights=weights_of_detector,
        method=detector_code,
        code=code_of("score_recipes"),
    output:
        scores="results/{dataset}/{category}/recipes/{detector}/synthetic.csv",
    log:
        "results/logs/score_recipes/{dataset}.{category}.{detector}.log",
    benchmark:
        "results/benchmarks/score_recipes/{dataset}.{category}.{detector}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        cells=lambda wildcards: list(recipe_cells(wildcards)),
        runs=recipe_runs,
        sources=lambda wildcards: recipe_sources(wildcards.dataset),
        limit=config["recipes"]["anomalies"],
        method=lambda wildcards: detector_of(wildcards)["method"],
        extractor=detector_extractor,
    script:
        "../../scripts/score_recipes.py"


# the training set with the highest synthetic AUROC of every source, scenario and run; all that it reads are synthetic scores
rule choose_recipe:
    input:
        scores=rules.score_recipes.output.scores,
        code=code_of("choose_recipe"),
    output:
        choices="results/{dataset}/{category}/recipes/{detector}/choices.csv",
        aurocs="results/{dataset}/{category}/recipes/{detector}/synthetic_auroc.csv",
    log:
        "results/logs/choose_recipe/{dataset}.{category}.{detector}.log",
    benchmark:
        "results/benchmarks/choose_recipe/{dataset}.{category}.{detector}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    script:
        "../../scripts/choose_recipe.py"


# what the chosen recipes are worth on real data; the first rule of this file that sees a label of a test image
rule judge_recipes:
    input:
        choices=lambda wildcards: recipe_outputs("choices.csv"),
        aurocs=lambda wildcards: recipe_outputs("synthetic_auroc.csv"),
        scores=lambda wildcards: list(recipe_scores().values()),
        code=code_of("judge_recipes"),
    output:
        table=report(
            "results/tables/recipes.csv",
            caption="../report/recipes.rst",
            category="Selection",
            labels={"table": "recipes chosen by synthetic anomalies"},
        ),
        page="results/tables/recipes.md",
    log:
        "results/logs/judge_recipes.log",
    benchmark:
        "results/benchmarks/judge_recipes.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
    params:
        places=lambda wildcards: recipe_places(),
        cells=lambda wildcards: list(recipe_scores()),
        default=config["recipes"]["default"],
        caption=config["run"]["caption"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/judge_recipes.py"
