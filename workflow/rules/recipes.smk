include: "recipes_inputs.smk"


# score validation normals and synthetic anomalies with the detectors of a category's cells; no label of a real image
rule score_recipes:
    input:
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        support=rules.sample_support.output.support,
        models=lambda wildcards: files_of(recipe_cells(wildcards), rules.train_detector.output.models),
        anomalies=of_sources(recipe_sources, rules.make_anomalies.output.images),
        manifests=of_sources(recipe_sources, rules.make_anomalies.output.manifest),
        weights=weights_of_detector,
        method=detector_code,
    output:
        scores="results/{dataset}/{category}/recipes/{detector}/synthetic.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        cells=lambda wildcards: names_of(recipe_cells(wildcards), "scenario", "training_set"),
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
    output:
        choices="results/{dataset}/{category}/recipes/{detector}/choices.csv",
        aurocs="results/{dataset}/{category}/recipes/{detector}/synthetic_auroc.csv",
    conda:
        "../../envs/variad.yaml"
    script:
        "../../scripts/choose_recipe.py"


# what the chosen recipes are worth on real data; the first rule of this file that sees a label of a test image
rule judge_recipes:
    input:
        choices=of_all(recipe_places, rules.choose_recipe.output.choices),
        aurocs=of_all(recipe_places, rules.choose_recipe.output.aurocs),
        scores=of_all(all_recipe_cells, rules.score_test_set.output.scores),
    output:
        table=report(
            "results/tables/recipes.csv",
            caption="../report/recipes.rst",
            category=IN_REPORT["selection"],
            labels=labelled("recipes chosen by synthetic anomalies", "table to download"),
        ),
        page="results/tables/recipes.md",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(1500),
    params:
        places=lambda wildcards: names_of(recipe_places()),
        cells=lambda wildcards: names_of(
            all_recipe_cells(), "dataset", "category", "detector", "scenario", "training_set"
        ),
        default=config["recipes"]["default"],
        caption=config["run"]["caption"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/judge_recipes.py"
