# add images to the shots, by one named recipe
rule build_training_set:
    input:
        unpack(prompt_of_recipe),
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        weights=weights_of_recipe,
        code=code_of("build_training_set"),
    output:
        images=f"{CELL}/added.h5",
    log:
        "results/logs/build_training_set/{dataset}.{category}.{scenario}.{training_set}.log",
    benchmark:
        "results/benchmarks/build_training_set/{dataset}.{category}.{scenario}.{training_set}.tsv"
    # the longest jobs; started late, they would leave the other cores idle at the end
    priority: 10
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 5000 * attempt,
    params:
        recipe=recipe_of,
        vqgan=lambda wildcards: config["vqgans"].get(recipe_of(wildcards).get("vqgan")),
        encoder=lambda wildcards: config["encoders"].get(
            recipe_of(wildcards).get("encoder")
        ),
        seed=config["run"]["seed"],
    script:
        "../../scripts/build_training_set.py"


# shots and added images as PNGs in MVTec's layout, for use elsewhere
rule export_training_set:
    input:
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        code=code_of("export_training_set"),
    output:
        folder=f"{CELL}/export/contents.txt",
    log:
        "results/logs/export_training_set/{dataset}.{category}.{scenario}.{training_set}.log",
    benchmark:
        "results/benchmarks/export_training_set/{dataset}.{category}.{scenario}.{training_set}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    script:
        "../../scripts/export_training_set.py"
