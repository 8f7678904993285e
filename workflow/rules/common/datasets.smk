# where a data set comes from: a package, a folder of the user, or its publisher


def is_downloaded(dataset):
    """Whether a data set comes from its publisher: one of the catalogue's, with no copy on this machine."""
    return dataset["adapter"] in ARCHIVES and not dataset["path"]


def dataset_root(wildcards):
    """Folder of a data set's files that is an input: the user's, or one that a rule fills."""
    dataset = dataset_of(wildcards)
    if dataset["path"]:
        if Path(dataset["path"]).is_dir():
            return local_copy(dataset)
        check_indexed(wildcards)
        return []
    if dataset["adapter"] in RENDERED_ADAPTERS:
        return f"{DOWNLOADS}/{wildcards.dataset}"
    return []


def check_indexed(wildcards):
    """A data set whose folder is gone serves for what is left once its categories have been packed."""
    here, path = (
        f"results/{wildcards.dataset}/{wildcards.category}",
        dataset_of(wildcards)["path"],
    )
    if not Path(f"{here}/images.h5").is_file():
        raise WorkflowError(
            f"config key datasets.{wildcards.dataset}.path: expected the data set's folder, found no such folder "
            f"'{path}'."
        )


def local_copy(dataset):
    """The user's folder of a data set, or the one in it that the archive holds everything in."""
    path, source = dataset["path"], DATASETS.get(dataset["adapter"])
    return str(lifted_folder(Path(path), source)) if source else path


def dataset_path(wildcards):
    """Folder of a data set's files, there or not; None for data inside a package."""
    dataset = dataset_of(wildcards)
    return (
        f"{DOWNLOADS}/{dataset['adapter']}"
        if is_downloaded(dataset)
        else dataset["path"]
    )


def contents_of(archive):
    # unpacking the same archive again, after a change of code or environment, brings nothing new
    return ancient(f"{DOWNLOADS}/{archive}/contents.txt")


def dataset_contents(wildcards):
    """The list of an unpacked archive's files, for a data set that is downloaded."""
    dataset = dataset_of(wildcards)
    return contents_of(dataset["adapter"]) if is_downloaded(dataset) else []


def parts_of(wildcards):
    """An archive and the files that belong beside what is in it, by their names in the catalogue."""
    return [wildcards.unpacked, *BESIDE.get(wildcards.unpacked, ())]


def records_of_archive(wildcards):
    return [
        ancient(f"{DOWNLOADS}/archives/{DATASETS[name].file_name}.fetched.json")
        for name in parts_of(wildcards)
    ]


def mirror_of(name):
    """Where the config says that a download is in place of its publisher's address, and its hash there."""
    return config["downloads"]["sources"].get(name, {})


def mirror_of_archive(wildcards):
    return mirror_of(DATASET_FILES[wildcards.archive])


def mirrors_of_dataset(wildcards):
    return {name: mirror_of(name) for name in parts_of(wildcards)}


def mirror_of_weights(wildcards):
    return mirror_of(WEIGHTS_FILES[wildcards.weights_file])


def dataset_folders(wildcards):
    """The folders of a user's category, whose times change when images come or go."""
    dataset = dataset_of(wildcards)
    folders = (
        category_folders(local_copy(dataset), wildcards.category)
        if dataset["path"]
        else []
    )
    # Snakemake takes angle brackets in a path for one of its own variables
    return [folder for folder in folders if "<" not in str(folder)]


def adapter_code(wildcards):
    """The library files of a data set's adapter, which its scripts import by name."""
    file = adapter_file(dataset_of(wildcards)["adapter"])
    return code_from(file) if file.is_file() else []
