# every image of the support sets as the noise that a diffusion model makes it from, and as what it makes of it again
rule invert_images:
    input:
        images=rules.pack_category.output.images,
        support="results/{dataset}/{category}/support.csv",
        weights=lambda wildcards: files_of_diffusion_model(wildcards.diffusion_model),
        code=code_of("invert_images"),
    output:
        inversions="results/{dataset}/{category}/anomalies/inversions/{diffusion_model}.h5",
    log:
        "results/logs/invert_images/{dataset}.{category}.{diffusion_model}.log",
    benchmark:
        "results/benchmarks/invert_images/{dataset}.{category}.{diffusion_model}.tsv"
    # the longest job of a category, and others wait for it
    priority: 10
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        model=lambda wildcards: config["diffusion_models"][wildcards.diffusion_model],
        steps=lambda wildcards: inversion_settings(wildcards, "steps"),
        batch_size=lambda wildcards: inversion_settings(wildcards, "batch_size"),
    script:
        "../../scripts/invert_images.py"


# directions of the bottleneck that lead towards texts, learned from each run's seeds
rule train_direction:
    input:
        support="results/{dataset}/{category}/support.csv",
        inversions=lambda wildcards: files_of_source(wildcards)["inversions"],
        weights=lambda wildcards: files_of_source(wildcards)["weights"],
        encoder=lambda wildcards: encoder_files(encoder_of_source(wildcards)),
        code=code_of("train_direction"),
    output:
        direction="results/{dataset}/{category}/anomalies/{source}/direction.safetensors",
    log:
        "results/logs/train_direction/{dataset}.{category}.{source}.log",
    benchmark:
        "results/benchmarks/train_direction/{dataset}.{category}.{source}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        source=source_of,
        model=lambda wildcards: config["diffusion_models"][
            diffusion_model_of(wildcards)
        ],
        encoder=lambda wildcards: config["encoders"][encoder_of_source(wildcards)],
        class_name=class_name,
        seed=config["run"]["seed"],
    script:
        "../../scripts/train_direction.py"


# synthetic anomalies of every run, by one source
rule make_anomalies:
    input:
        unpack(files_of_source),
        images=rules.pack_category.output.images,
        support="results/{dataset}/{category}/support.csv",
        unrelated=unrelated_images,
        code=code_of("make_anomalies"),
    output:
        images="results/{dataset}/{category}/anomalies/{source}/anomalies.h5",
        manifest="results/{dataset}/{category}/anomalies/{source}/manifest.csv",
    log:
        "results/logs/make_anomalies/{dataset}.{category}.{source}.log",
    benchmark:
        "results/benchmarks/make_anomalies/{dataset}.{category}.{source}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        source=source_of,
        model=lambda wildcards: config.get("diffusion_models", {}).get(
            diffusion_model_of(wildcards)
        ),
        seed=config["run"]["seed"],
    script:
        "../../scripts/make_anomalies.py"


# a source's anomalies beside their parents, and rows of growing strength
rule plot_anomalies:
    input:
        images=rules.pack_category.output.images,
        anomalies=rules.make_anomalies.output.images,
        manifest=rules.make_anomalies.output.manifest,
        code=code_of("plot_anomalies"),
    output:
        sheet=report(
            "results/{dataset}/{category}/anomalies/{source}/contact_sheet.png",
            caption="../report/anomalies.rst",
            category="Synthetic anomalies",
            subcategory="{dataset} / {category}",
            labels={"source": "{source}"},
        ),
    log:
        "results/logs/plot_anomalies/{dataset}.{category}.{source}.log",
    benchmark:
        "results/benchmarks/plot_anomalies/{dataset}.{category}.{source}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
    script:
        "../../scripts/plot_anomalies.py"
