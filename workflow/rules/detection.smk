# fit a detector on shots and accepted images, every run of the cell in one job
rule train_detector:
    input:
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        features=features_of_real_images,
        added_features=features_of_added_images,
        weights=weights_of_detector,
        penalty=penalty_images,
        method=detector_code,
        code=code_of("train_detector"),
    output:
        models=f"{CELL}/{{detector}}/model/contents.txt",
    log:
        "results/logs/train_detector/{dataset}.{category}.{scenario}.{training_set}.{detector}.log",
    benchmark:
        "results/benchmarks/train_detector/{dataset}.{category}.{scenario}.{training_set}.{detector}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        detector=trained_detector,
        extractor=detector_extractor,
        runs=runs_of,
        seed=config["run"]["seed"],
    script:
        "../../scripts/train_detector.py"


# image scores, every metric of every run, and anomaly maps of the test images
rule score_test_set:
    input:
        models=rules.train_detector.output.models,
        manifest=rules.index_category.output.manifest,
        images=rules.pack_category.output.images,
        features=features_of_real_images,
        method=detector_code,
        code=code_of("score_test_set"),
    output:
        scores=f"{CELL}/{{detector}}/scores.csv",
        metrics=f"{CELL}/{{detector}}/metrics.csv",
        pixel_histograms=f"{CELL}/{{detector}}/pixel_histograms.h5",
        maps=f"{CELL}/{{detector}}/maps/contents.txt",
    log:
        "results/logs/score_test_set/{dataset}.{category}.{scenario}.{training_set}.{detector}.log",
    benchmark:
        "results/benchmarks/score_test_set/{dataset}.{category}.{scenario}.{training_set}.{detector}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
    params:
        method=lambda wildcards: detector_of(wildcards)["method"],
        extractor=detector_extractor,
        runs=runs_of,
        keep_map_runs=config["study"]["keep_map_runs"],
    script:
        "../../scripts/score_test_set.py"


# unlabelled images ranked by score, with heat maps and a threshold from training normals
rule predict_images:
    input:
        models=rules.train_detector.output.models,
        manifest=rules.index_category.output.manifest,
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        features=features_of_real_images,
        added_features=features_of_added_images,
        weights=weights_of_detector,
        penalty=penalty_images,
        method=detector_code,
        code=code_of("predict_images"),
    output:
        predictions=f"{CELL}/{{detector}}/predictions.csv",
        heatmaps=f"{CELL}/{{detector}}/heatmaps/contents.txt",
    log:
        "results/logs/predict_images/{dataset}.{category}.{scenario}.{training_set}.{detector}.log",
    benchmark:
        "results/benchmarks/predict_images/{dataset}.{category}.{scenario}.{training_set}.{detector}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        detector=trained_detector,
        extractor=detector_extractor,
        quantile=config["predict"]["quantile"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/predict_images.py"
