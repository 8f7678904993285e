include: "anomalies_inputs.smk"


# draw the normal images that each run may see: detector bank, seeds of synthesis, validation; nothing else is seen before the choice
rule sample_support:
    input:
        manifest=of_split("train", rules.index_category.output.manifest),
    output:
        support="results/{dataset}/{category}/support.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        counts=lambda wildcards: {
            name: selection_of(config, wildcards.dataset)[name] for name in ("bank", "seeds", "validation")
        },
        runs=lambda wildcards: selection_of(config, wildcards.dataset)["runs"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/sample_support.py"


# every image of the support sets as the noise that a diffusion model makes it from, and as what it makes of it again
rule invert_images:
    input:
        images=of_split("train", rules.pack_category.output.images),
        support=rules.sample_support.output.support,
        weights=lambda wildcards: weights_of("diffusion_models", wildcards.diffusion_model),
    output:
        inversions="results/{dataset}/{category}/anomalies/inversions/{diffusion_model}.h5",
    # the longest job of a category, and others wait for it
    priority: 10
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        model=lambda wildcards: config["diffusion_models"][wildcards.diffusion_model],
        steps=lambda wildcards: inversion_settings(wildcards, "steps"),
        batch_size=lambda wildcards: inversion_settings(wildcards, "batch_size"),
    script:
        "../../scripts/invert_images.py"


# directions of the bottleneck that lead towards texts, learned from each run's seeds
rule train_direction:
    input:
        support=rules.sample_support.output.support,
        inversions=lambda wildcards: files_of_source(wildcards)["inversions"],
        weights=lambda wildcards: files_of_source(wildcards)["weights"],
        encoder=lambda wildcards: encoder_files(named_by_source(wildcards, "encoder")),
    output:
        direction="results/{dataset}/{category}/anomalies/{source}/direction.safetensors",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        source=source_of,
        model=lambda wildcards: config["diffusion_models"][diffusion_model_of(wildcards)],
        encoder=lambda wildcards: config["encoders"][named_by_source(wildcards, "encoder")],
        class_name=class_name,
        seed=config["run"]["seed"],
    script:
        "../../scripts/train_direction.py"


# synthetic anomalies of every run, by one source
rule make_anomalies:
    input:
        unpack(files_of_source),
        images=of_split("train", rules.pack_category.output.images),
        support=rules.sample_support.output.support,
        unrelated=unrelated_images,
    output:
        images="results/{dataset}/{category}/anomalies/{source}/anomalies.h5",
        manifest="results/{dataset}/{category}/anomalies/{source}/manifest.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        source=source_of,
        model=lambda wildcards: config["diffusion_models"].get(diffusion_model_of(wildcards)),
        seed=config["run"]["seed"],
    script:
        "../../scripts/make_anomalies.py"


# a source's anomalies beside their parents, and rows of growing strength
rule plot_anomalies:
    input:
        images=of_split("train", rules.pack_category.output.images),
        anomalies=rules.make_anomalies.output.images,
        manifest=rules.make_anomalies.output.manifest,
    output:
        sheet="results/{dataset}/{category}/anomalies/{source}/contact_sheet.png",
        small="results/report/sheets/{dataset}/{category}/anomalies/{source}.jpg",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(500),
    script:
        "../../scripts/plot_anomalies.py"
