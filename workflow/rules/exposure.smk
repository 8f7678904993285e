# generated normals of the first document, made of the support images themselves
rule extend_support:
    input:
        images=rules.pack_category.output.images,
        support=rules.sample_support.output.support,
        weights=lambda wildcards: files_of_vqgan(added_recipe()["vqgan"]),
        code=code_of("extend_support"),
    output:
        images="results/{dataset}/{category}/exposure/added.h5",
    log:
        "results/logs/extend_support/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/extend_support/{dataset}.{category}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 5000 * attempt,
    params:
        recipe=lambda wildcards: added_recipe(),
        vqgan=lambda wildcards: config["vqgans"][added_recipe()["vqgan"]],
        per_image=config["exposure"]["added_per_image"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/extend_support.py"


# fine-tune on support images against each source, score the test images by distance to the support set; no label of a real image
rule expose_outliers:
    input:
        images=rules.pack_category.output.images,
        manifest=rules.index_category.output.manifest,
        support=rules.sample_support.output.support,
        anomalies=anomalies_of_exposure("anomalies.h5"),
        anomaly_manifests=anomalies_of_exposure("manifest.csv"),
        added=rules.extend_support.output.images if config["exposure"]["added"] else [],
        weights=lambda wildcards: file_of_package_or_user(
            config["exposure"]["weights"], "exposure.weights"
        ),
        code=code_of("expose_outliers"),
    output:
        scores="results/{dataset}/{category}/exposure/scores.csv",
    log:
        "results/logs/expose_outliers/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/expose_outliers/{dataset}.{category}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        exposure=lambda wildcards: exposure_of(config, wildcards.dataset),
        seed=config["run"]["seed"],
    script:
        "../../scripts/expose_outliers.py"


# what exposure is worth on real data; the first rule of this file that sees a label of a test image
rule judge_exposure:
    input:
        scores=of_exposure("exposure/scores.csv"),
        manifests=of_exposure("manifest.csv"),
        code=code_of("judge_exposure"),
    output:
        table=report(
            "results/tables/exposure.csv",
            caption="../report/exposure.rst",
            category="Outlier exposure",
            labels={"table": "outlier exposure"},
        ),
        page="results/tables/exposure.md",
    log:
        "results/logs/judge_exposure.log",
    benchmark:
        "results/benchmarks/judge_exposure.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
    params:
        categories=lambda wildcards: exposure_categories(),
        backbone=config["exposure"]["backbone"],
        trained_blocks=config["exposure"]["trained_blocks"],
        controls=config["exposure"]["controls"],
        caption=config["run"]["caption"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/judge_exposure.py"


# draw what exposure gains over the frozen network, from the table alone
rule plot_exposure:
    input:
        table=rules.judge_exposure.output.table,
        code=code_of("plot_exposure"),
    output:
        png="results/figures/exposure.png",
        svg=report(
            "results/figures/exposure.svg",
            caption="../report/exposure_figure.rst",
            category="Outlier exposure",
            labels={"figure": "gain over the frozen network"},
        ),
    log:
        "results/logs/plot_exposure.log",
    benchmark:
        "results/benchmarks/plot_exposure.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=800,
    script:
        "../../scripts/plot_exposure.py"
