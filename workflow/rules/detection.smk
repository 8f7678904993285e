include: "detection_inputs.smk"


# patch features of the real images of a split, once for all detectors and runs; of those that are known already they are taken over
rule extract_features:
    input:
        images=rules.pack_category.output.images,
        weights=lambda wildcards: weights_of("extractors", wildcards.extractor),
    output:
        features=update("results/{dataset}/{category}/{split}/features/{extractor}.h5"),
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000, 8000),
    params:
        extractor=lambda wildcards: config["extractors"][wildcards.extractor],
    script:
        "../../scripts/extract_features.py"


# fit a detector on shots and accepted images, every run of the cell in one job, which computes the latter's features
rule train_detector:
    input:
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        features=features_of("train"),
        weights=weights_of_detector,
        penalty=penalty_images,
        method=detector_code,
    output:
        models="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/model/contents.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        detector=lambda wildcards: trained_detector(wildcards.detector),
        extractor=detector_extractor,
        whole_extractor=whole_extractor,
        runs=lambda wildcards: runs_of(wildcards.scenario, wildcards.detector),
        seed=config["run"]["seed"],
    script:
        "../../scripts/train_detector.py"


# image scores, every metric of every run, and anomaly maps of the test images
rule score_test_set:
    input:
        models=rules.train_detector.output.models,
        manifest=of_split("test", rules.index_category.output.manifest),
        images=of_split("test", rules.pack_category.output.images),
        features=features_of("test"),
        weights=weights_of_detector,
        method=detector_code,
    output:
        scores="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/scores.csv",
        metrics="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/metrics.csv",
        pixel_histograms="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/pixel_histograms.h5",
        maps="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/maps/contents.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(6000),
    params:
        method=lambda wildcards: detector_of(wildcards)["method"],
        extractor=detector_extractor,
        whole_extractor=whole_extractor,
        runs=lambda wildcards: runs_of(wildcards.scenario, wildcards.detector),
        keep_map_runs=config["study"]["keep_map_runs"],
        keep_map_side=config["study"]["keep_map_side"],
    script:
        "../../scripts/score_test_set.py"


# photographs of the training set, shots and unlabelled ones, scored by detectors that saw nothing of them, from folds: what a
# threshold is made of, and what is predicted of unlabelled photographs that were added
rule score_held_out:
    input:
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        features=features_of("train"),
        candidate_images=of_candidates(rules.pack_category.output.images),
        candidate_features=features_of_candidates,
        weights=weights_of_detector,
        penalty=penalty_images,
        method=detector_code,
    output:
        scores="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/held_out_scores.csv",
        maps="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/held_out_maps.h5",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        detector=lambda wildcards: trained_detector(wildcards.detector),
        extractor=detector_extractor,
        whole_extractor=whole_extractor,
        seed=config["run"]["seed"],
    script:
        "../../scripts/score_held_out.py"


# unlabelled images ranked by score, with answers by thresholds from training normals, regions and heat maps
rule predict_images:
    input:
        models=rules.train_detector.output.models,
        held_out=rules.score_held_out.output.scores,
        held_out_maps=rules.score_held_out.output.maps,
        manifest=of_split("unlabelled", rules.index_category.output.manifest),
        images=of_split("unlabelled", rules.pack_category.output.images),
        features=features_of("unlabelled"),
        weights=weights_of_detector,
        method=detector_code,
    output:
        predictions="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/predictions.csv",
        regions="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/regions.csv",
        heatmaps="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/heatmaps/contents.txt",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        method=lambda wildcards: detector_of(wildcards)["method"],
        extractor=detector_extractor,
        whole_extractor=whole_extractor,
        quantile=config["predict"]["quantile"],
        look=config["predict"]["look"],
    script:
        "../../scripts/predict_images.py"


# one file that scores photographs without the workflow: detector, backbone, thresholds, and what they were made from
rule bundle_detector:
    input:
        models=rules.train_detector.output.models,
        held_out=rules.score_held_out.output.scores,
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        added=rules.build_training_set.output.images,
        candidate_images=of_candidates(rules.pack_category.output.images),
        weights=weights_of_detector,
        method=detector_code,
    output:
        bundle="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/{category}.variad",
    conda:
        "../../envs/variad.yaml"
    params:
        detector=lambda wildcards: detector_of(wildcards),
        extractor=detector_extractor,
        class_name=class_name,
        quantiles=(config["predict"]["look"], config["predict"]["quantile"]),
        made_from=entries_of_cell,
    script:
        "../../scripts/bundle_detector.py"


# misses and false alarms of the thresholds on test images, and what they promise in words
rule judge_thresholds:
    input:
        held_out=rules.score_held_out.output.scores,
        scores=rules.score_test_set.output.scores,
    output:
        thresholds="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/thresholds.csv",
        told="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/thresholds.txt",
    conda:
        "../../envs/variad.yaml"
    params:
        quantiles=rules.bundle_detector.params.quantiles,
    script:
        "../../scripts/judge_thresholds.py"


# a bundle as a graph of standard operations, for ONNX Runtime, OpenVINO and others
rule export_onnx:
    input:
        bundle=rules.bundle_detector.output.bundle,
    output:
        onnx="results/{dataset}/{category}/{scenario}/{training_set}/{detector}/{category}.onnx",
    conda:
        "../../envs/variad.yaml"
    script:
        "../../scripts/export_onnx.py"
