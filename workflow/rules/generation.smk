include: "generation_inputs.smk"


# choose unlabelled images that look normal, by the shots and by each other; nothing that it reads knows a label
rule choose_unlabelled:
    input:
        unpack(seen_by_choice),
        pool=rules.draw_pool.output.pool,
    output:
        chosen="results/{dataset}/{category}/{scenario}/{training_set}/chosen.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        settings=choice_settings,
        turns=lambda wildcards: turns_candidates(recipe_of(wildcards)),
        extractor=lambda wildcards: config["extractors"][choosing_extractor(recipe_of(wildcards))],
        seed=config["run"]["seed"],
    script:
        "../../scripts/choose_unlabelled.py"


# whether the product lies at any angle, as the photographs say that recipes may choose from; no manifest, no label
rule decide_turning:
    input:
        images=of_split("train", rules.pack_category.output.images),
        unlabelled=of_split("unlabelled", rules.pack_category.output.images),
        pools=pools_of_turning,
        shots=rules.sample_shots.output.shots,
        weights=lambda wildcards: weights_of("extractors", turning_extractor()),
    output:
        turning="results/{dataset}/{category}/turning.json",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        extractor=lambda wildcards: config["extractors"][turning_extractor()],
        scenarios=config["study"]["scenarios"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/decide_turning.py"


# add images to the shots, by one named recipe
rule build_training_set:
    input:
        unpack(prompt_of_recipe),
        unpack(chosen_of_recipe),
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        weights=weights_of_recipe,
        turning=turning_of_recipe,
    output:
        images="results/{dataset}/{category}/{scenario}/{training_set}/added.h5",
    # the longest jobs; started late, they would leave the other cores idle at the end
    priority: 10
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(5000),
    params:
        recipe=recipe_of,
        as_pool=good_of_pool,
        vqgan=lambda wildcards: config["vqgans"].get(recipe_of(wildcards).get("vqgan")),
        encoder=lambda wildcards: config["encoders"].get(recipe_of(wildcards).get("encoder")),
        seed=config["run"]["seed"],
    script:
        "../../scripts/build_training_set.py"


# draw parents, optimisation steps and results of a training set
rule plot_contact_sheet:
    input:
        images=parent_images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
    output:
        sheet="results/{dataset}/{category}/{scenario}/{training_set}/contact_sheet.png",
        small=report(
            "results/report/sheets/{dataset}/{category}/{scenario}/{training_set}.jpg",
            caption="../report/contact_sheet.rst",
            category=IN_REPORT["added"],
            subcategory="{dataset} / {category}",
            labels={"scenario": "{scenario}", "training set": "{training_set}"},
        ),
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(500),
    script:
        "../../scripts/plot_contact_sheet.py"


# what every training set makes of the same shots
rule plot_training_sets:
    input:
        images=parent_images,
        added=lambda wildcards: files_of(sets_beside_each_other(wildcards), rules.build_training_set.output.images),
    output:
        figure="results/figures/training_sets/{dataset}/{category}.{scenario}.png",
    conda:
        "../../envs/variad.yaml"
    params:
        sets=lambda wildcards: [place["training_set"] for place in sets_beside_each_other(wildcards)],
    script:
        "../../scripts/plot_training_sets.py"


# shots and added images as PNGs in MVTec's layout, for use elsewhere
rule export_training_set:
    input:
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
    output:
        folder="results/{dataset}/{category}/{scenario}/{training_set}/export/contents.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    script:
        "../../scripts/export_training_set.py"
