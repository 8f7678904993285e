include: "exposure_inputs.smk"


# generated normals of the first document, made of the support images themselves
rule extend_support:
    input:
        images=of_split("train", rules.pack_category.output.images),
        support=rules.sample_support.output.support,
        weights=lambda wildcards: files_of_vqgan(added_recipe()["vqgan"]),
    output:
        images="results/{dataset}/{category}/exposure/added.h5",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(5000),
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
        images=of_splits(rules.pack_category.output.images),
        manifest=of_split("test", rules.index_category.output.manifest),
        support=rules.sample_support.output.support,
        anomalies=of_sources(exposure_sources, rules.make_anomalies.output.images),
        anomaly_manifests=of_sources(exposure_sources, rules.make_anomalies.output.manifest),
        added=rules.extend_support.output.images if config["exposure"]["added"] else [],
        weights=lambda wildcards: file_of_package_or_user(config["exposure"]["weights"], "exposure.weights"),
    output:
        scores="results/{dataset}/{category}/exposure/scores.csv",
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(4000),
    params:
        exposure=lambda wildcards: exposure_of(config, wildcards.dataset),
        seed=config["run"]["seed"],
    script:
        "../../scripts/expose_outliers.py"


# what exposure is worth on real data; the first rule of this file that sees a label of a test image
rule judge_exposure:
    input:
        scores=of_all(exposure_places, rules.expose_outliers.output.scores),
        manifests=of_all(exposure_places, of_split("test", rules.index_category.output.manifest)),
    output:
        table=report(
            "results/tables/exposure.csv",
            caption="../report/exposure.rst",
            category=IN_REPORT["exposure"],
            labels=labelled("outlier exposure", "table to download"),
        ),
        page="results/tables/exposure.md",
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(1500),
    params:
        categories=lambda wildcards: names_of(exposure_places()),
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
    output:
        png="results/figures/exposure.png",
        svg=report(
            "results/figures/exposure.svg",
            caption="../report/exposure_figure.rst",
            category=IN_REPORT["exposure"],
            labels=labelled("gain over the frozen network", "figure"),
        ),
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(800),
    script:
        "../../scripts/plot_exposure.py"
