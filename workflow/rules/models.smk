# download published weights; where no hash is published, the first one is noted, and another refused later
localrules:
    fetch_weights,


rule fetch_weights:
    output:
        weights=update("resources/downloads/weights/{weights_file}"),  # checked, not fetched anew, where it is there
    log:
        "results/logs/fetch_weights/{weights_file}.log",
    benchmark:
        "results/benchmarks/fetch_weights/{weights_file}.tsv"
    retries: 0
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        mirror=mirror_of_weights,
        keep_archive=config["downloads"]["keep_archives"],
    script:
        "../../scripts/fetch_weights.py"


# a small VQGAN from openly licensed images; only on request, the weights that it made are in resources/
rule train_vqgan:
    input:
        code=code_of("train_vqgan"),
    output:
        weights="results/models/{vqgan}/model.safetensors",
        quality="results/models/{vqgan}/quality.json",
    log:
        "results/logs/train_vqgan/{vqgan}.log",
    benchmark:
        "results/benchmarks/train_vqgan/{vqgan}.tsv"
    conda:
        "../../envs/torch.yaml"
    # one, as the weights that ship were made with: sums depend on the number of threads
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        settings=lookup(within=config, dpath="vqgans/{vqgan}/training"),
    script:
        "../../scripts/train_vqgan.py"


# a small diffusion model from openly licensed images; only on request, the weights that it made are in resources/
rule train_ddpm:
    input:
        code=code_of("train_ddpm"),
    output:
        weights="results/models/diffusion/{diffusion_model}/model.safetensors",
        quality="results/models/diffusion/{diffusion_model}/quality.json",
    log:
        "results/logs/train_ddpm/{diffusion_model}.log",
    benchmark:
        "results/benchmarks/train_ddpm/{diffusion_model}.tsv"
    conda:
        "../../envs/torch.yaml"
    # one, as the weights that ship were made with: sums depend on the number of threads
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        settings=lookup(
            within=config, dpath="diffusion_models/{diffusion_model}/training"
        ),
    script:
        "../../scripts/train_ddpm.py"


# EfficientAD's teacher, distilled from EfficientNet-Lite0; only on request, the weights that it made are in resources/
rule distil_teacher:
    input:
        code=code_of("distil_teacher"),
    output:
        weights="results/models/teachers/{teacher}/model.safetensors",
        quality="results/models/teachers/{teacher}/quality.json",
    log:
        "results/logs/distil_teacher/{teacher}.log",
    benchmark:
        "results/benchmarks/distil_teacher/{teacher}.tsv"
    conda:
        "../../envs/torch.yaml"
    # one, as the weights that ship were made with: sums depend on the number of threads
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        settings=lookup(within=config, dpath="teachers/{teacher}/training"),
    script:
        "../../scripts/distil_teacher.py"
