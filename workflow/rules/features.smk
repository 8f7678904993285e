# patch features of every real image, once for all detectors and runs
rule extract_features:
    input:
        images=rules.pack_category.output.images,
        weights=extractor_weights,
        code=code_of("extract_features"),
    output:
        features="results/{dataset}/{category}/features/{extractor}.h5",
    log:
        "results/logs/extract_features/{dataset}.{category}.{extractor}.log",
    benchmark:
        "results/benchmarks/extract_features/{dataset}.{category}.{extractor}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        extractor=extractor_of,
    script:
        "../../scripts/extract_features.py"


# patch features of the added images of one training set
use rule extract_features as extract_added_features with:
    input:
        images=rules.build_training_set.output.images,
        weights=extractor_weights,
        code=code_of("extract_features"),
    output:
        features=f"{CELL}/features/{{extractor}}.h5",
    log:
        "results/logs/extract_added_features/{dataset}.{category}.{scenario}.{training_set}.{extractor}.log",
    benchmark:
        "results/benchmarks/extract_added_features/{dataset}.{category}.{scenario}.{training_set}.{extractor}.tsv"
