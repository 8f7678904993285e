include: "models_inputs.smk"


# download published weights; where no hash is published, the first one is noted, and another refused later
rule fetch_weights:
    input:
        code=[],  # a hash says what has to come
    output:
        weights=update("resources/downloads/weights/{weights_file}"),  # checked, not fetched anew, where it is there
    retries: 0
    localrule: True  # compute nodes may have no internet
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(500),
    params:
        mirror=lambda wildcards: mirror_of(WEIGHTS_FILES[wildcards.weights_file]),
        keep_archive=config["downloads"]["keep_archives"],
    script:
        "../../scripts/fetch_weights.py"


# a small VQGAN from openly licensed images; only on request, the weights that it made are in resources/
rule train_vqgan:
    output:
        weights="results/models/{vqgan}/model.safetensors",
        quality="results/models/{vqgan}/quality.json",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(3000),
    params:
        settings=lambda wildcards: config["vqgans"][wildcards.vqgan]["training"],
    script:
        "../../scripts/train_vqgan.py"


# a small diffusion model, likewise
rule train_ddpm:
    output:
        weights="results/models/diffusion/{diffusion_model}/model.safetensors",
        quality="results/models/diffusion/{diffusion_model}/quality.json",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(3000),
    params:
        settings=lambda wildcards: config["diffusion_models"][wildcards.diffusion_model]["training"],
    script:
        "../../scripts/train_ddpm.py"


# EfficientAD's teacher, distilled from EfficientNet-Lite0, likewise
rule distil_teacher:
    output:
        weights="results/models/teachers/{teacher}/model.safetensors",
        quality="results/models/teachers/{teacher}/quality.json",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000),
    params:
        settings=lambda wildcards: config["teachers"][wildcards.teacher]["training"],
    script:
        "../../scripts/distil_teacher.py"


# sentence embeddings of ImageNet's class names, the text half of centred ConSE
rule build_conse:
    output:
        classes="results/models/conse.safetensors",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(2000),
    script:
        "../../scripts/build_conse.py"
