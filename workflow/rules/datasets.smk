# downloads run where Snakemake does: compute nodes may have no internet
localrules:
    fetch_archive,
    unpack_archive,


# download a published archive, going on where an interrupted job ended; the archive and its part are not declared, so that
# Snakemake, which removes what is declared, keeps them. No code among the inputs: a hash says what has to come.
rule fetch_archive:
    output:
        record="resources/downloads/archives/{archive}.fetched.json",
    log:
        "results/logs/fetch_archive/{archive}.log",
    benchmark:
        "results/benchmarks/fetch_archive/{archive}.tsv"
    retries: 0  # what may pass is tried again inside
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        mirror=mirror_of_archive,
    script:
        "../../scripts/fetch_archive.py"


# verify an archive and unpack it, all or nothing; one that is gone since is fetched again
rule unpack_archive:
    input:
        records=records_of_archive,
    output:
        contents="resources/downloads/{unpacked}/contents.txt",
    log:
        "results/logs/unpack_archive/{unpacked}.log",
    benchmark:
        "results/benchmarks/unpack_archive/{unpacked}.tsv"
    retries: 0
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        mirrors=mirrors_of_dataset,
        keep_archive=config["downloads"]["keep_archives"],
    script:
        "../../scripts/unpack_archive.py"


# render a data set that comes without files: textures with simulated defects, all of its categories at once
rule unpack_dataset:
    input:
        code=code_of("unpack_dataset"),
        adapter=adapter_code,
    output:
        folder=directory("resources/downloads/{dataset}"),
    log:
        "results/logs/unpack_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/unpack_dataset/{dataset}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        adapter=lookup(within=config, dpath="datasets/{dataset}/adapter"),
        settings=lookup(within=config, dpath="datasets/{dataset}/settings"),
    script:
        "../../scripts/unpack_dataset.py"


# list every image of one category: split, label, defect, size, hash
rule index_category:
    input:
        root=dataset_root,
        downloaded=dataset_contents,
        folders=dataset_folders,  # adding an image to a user's own folders, or removing one, reruns this
        code=code_of("index_category"),
        adapter=adapter_code,
    output:
        manifest="results/{dataset}/{category}/manifest.csv",
    log:
        "results/logs/index_category/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/index_category/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        adapter=lookup(within=config, dpath="datasets/{dataset}/adapter"),
        path=dataset_path,
        settings=lookup(within=config, dpath="datasets/{dataset}/settings"),
    script:
        "../../scripts/index_category.py"


# bring the images to 8-bit RGB at one size, in one file; masks keep their size
rule pack_category:
    input:
        manifest=rules.index_category.output.manifest,
        root=dataset_root,
        downloaded=dataset_contents,
        code=code_of("pack_category"),
        adapter=adapter_code,
    output:
        images="results/{dataset}/{category}/images.h5",
    log:
        "results/logs/pack_category/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/pack_category/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        adapter=lookup(within=config, dpath="datasets/{dataset}/adapter"),
        path=dataset_path,
        settings=lookup(within=config, dpath="datasets/{dataset}/settings"),
        image_size=lookup(within=config, dpath="image_size"),
    script:
        "../../scripts/pack_category.py"


# draw the shots of every scenario and run, nested
rule sample_shots:
    input:
        manifest=rules.index_category.output.manifest,
        code=code_of("sample_shots"),
    output:
        shots="results/{dataset}/{category}/shots.csv",
    log:
        "results/logs/sample_shots/{dataset}.{category}.log",
    benchmark:
        "results/benchmarks/sample_shots/{dataset}.{category}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        scenarios=lookup(within=config, dpath="scenarios"),
        seed=lookup(within=config, dpath="run/seed"),
    script:
        "../../scripts/sample_shots.py"
