include: "datasets_inputs.smk"


# download a published archive, going on where an interrupted job ended; the archive and its part are not declared, so that
# Snakemake, which removes what is declared, keeps them
rule fetch_archive:
    input:
        code=[],  # a hash says what has to come
    output:
        record="resources/downloads/archives/{archive}.fetched.json",
    retries: 0  # what may pass is tried again inside
    localrule: True  # compute nodes may have no internet
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(500),
    params:
        mirror=lambda wildcards: mirror_of(DATASET_FILES[wildcards.archive]),
    script:
        "../../scripts/fetch_archive.py"


# verify an archive and unpack it, all or nothing; one that is gone since is fetched again
rule unpack_archive:
    input:
        records=lambda wildcards: [
            ancient(file_of(rules.fetch_archive.output.record, archive=DATASETS[name].file_name))
            for name in parts_of(wildcards.unpacked)
        ],
        code=[],
    output:
        contents="resources/downloads/{unpacked}/contents.txt",
    retries: 0
    localrule: True
    conda:
        "../../envs/variad.yaml"
    params:
        mirrors=lambda wildcards: {name: mirror_of(name) for name in parts_of(wildcards.unpacked)},
        keep_archive=config["downloads"]["keep_archives"],
    script:
        "../../scripts/unpack_archive.py"


# render a data set that comes without files: textures with simulated defects, all of its categories at once
rule unpack_dataset:
    input:
        adapter=adapter_code,
    output:
        folder=directory("resources/downloads/{dataset}"),
    conda:
        "../../envs/variad.yaml"
    params:
        adapter=lambda wildcards: dataset_of(wildcards)["adapter"],
        settings=lambda wildcards: dataset_of(wildcards)["settings"],
    script:
        "../../scripts/unpack_dataset.py"


# list every image of one split of a category: label, defect, size, hash; a file that changes, comes or goes reruns this
rule index_category:
    input:
        unpack(dataset_files),
    output:
        manifest="results/{dataset}/{category}/{split}/manifest.csv",
        files=update("results/{dataset}/{category}/{split}/files.json"),
    conda:
        "../../envs/variad.yaml"
    params:
        dataset=dataset_arguments,
        pool=pool_of_split,
        answers=folder_answers,
        version=files_version,
    script:
        "../../scripts/index_category.py"


# bring the images of a split to 8-bit RGB at one size, in one file; masks keep their size. What it holds already is taken over
rule pack_category:
    input:
        unpack(dataset_files),
        manifest=rules.index_category.output.manifest,
        train=scale_of_split,
        test=test_beside_pool,
    output:
        images=update("results/{dataset}/{category}/{split}/images.h5"),
    conda:
        "../../envs/variad.yaml"
    params:
        dataset=dataset_arguments,
        image_size=config["image_size"],
        refuse_copies=refuses_copies,
    script:
        "../../scripts/pack_category.py"


# say of every file of a category whether and as what it is used
rule take_inventory:
    input:
        unpack(dataset_files),
        manifests=expand(rules.index_category.output.manifest, split=SPLITS, allow_missing=True),
    output:
        inventory="results/{dataset}/{category}/inventory.csv",
        files="results/{dataset}/{category}/files.json",
    conda:
        "../../envs/variad.yaml"
    params:
        dataset=dataset_arguments,
        pool=lambda wildcards: dataset_of(wildcards)["pool"],
        names=file_names,
    script:
        "../../scripts/take_inventory.py"


# draw the shots of every scenario and run, nested
rule sample_shots:
    input:
        manifest=of_split("train", rules.index_category.output.manifest),
    output:
        shots="results/{dataset}/{category}/shots.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        scenarios=config["scenarios"],
        seed=config["run"]["seed"],
    script:
        "../../scripts/sample_shots.py"


# draw the unlabelled images that a recipe may choose from; the last rule on the way to a choice that may read a label
rule draw_pool:
    input:
        manifest=candidates_of_recipe,
    output:
        pool="results/{dataset}/{category}/{scenario}/{training_set}/pool.csv",
    conda:
        "../../envs/variad.yaml"
    params:
        pile=pile_of_recipe,
        not_good=objections,
        seed=config["run"]["seed"],
    script:
        "../../scripts/draw_pool.py"
