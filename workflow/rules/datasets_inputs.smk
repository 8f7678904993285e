# where a data set comes from: a package, a folder of the user, or its publisher
from variad.core.own_code import own_file
from variad.datasets.adapters import (
    CLASS_ADAPTERS,
    LAID_OUT_AS_FOLDER,
    RENDERED_ADAPTERS,
    adapter_file,
    root_of,
    watched,
)
from variad.datasets.changes import KnownFiles, stamps_of, version_of
from variad.datasets.inventory import sentences_of
from variad.datasets.pool import not_good_file, read_not_good
from variad.downloads.catalogue import BESIDE, DATASETS
from variad.generation.settings import Turning


def dataset_of(wildcards):
    return config["datasets"][wildcards.dataset]


def class_name(wildcards):
    categories = dataset_of(wildcards)["categories"]
    if wildcards.category not in categories:
        raise WorkflowError(
            f"config key datasets.{wildcards.dataset}.categories: expected a category "
            f"'{wildcards.category}', found {', '.join(categories)}."
        )
    return categories[wildcards.category]["class_name"]


def is_downloaded(dataset):
    """Whether a data set comes from its publisher: one of the catalogue's, with no copy on this machine."""
    return dataset["adapter"] in ARCHIVES and not dataset["path"]


def rendered_root(wildcards):
    """The folder that a rule fills with the files of a data set that is rendered."""
    dataset = dataset_of(wildcards)
    is_rendered = not dataset["path"] and dataset["adapter"] in RENDERED_ADAPTERS
    return downloaded_place(rules.unpack_dataset.output.folder, **wildcards) if is_rendered else []


def dataset_arguments(wildcards):
    """What the adapter of a data set is made with, but for its folder, and answers that are no business of a split.

    A user's folder is known by its files (`files_version`), wherever it lies; one that is gone serves for what is left once
    its categories have been packed. Answers about masks are of the split that has some; those about the names of folders
    come from `folder_answers`.
    """
    dataset, split = dataset_of(wildcards), wildcards.get("split")
    if is_gone(wildcards) and not Path(file_of(rules.take_inventory.output.inventory, **wildcards)).is_file():
        raise WorkflowError(
            f"config key datasets.{wildcards.dataset}.path: expected the data set's folder, found no such folder "
            f"'{dataset['path']}'."
        )
    of_others = {"good", "defects"} if split else set()
    of_others |= {"masks_inverted"} if split != "test" else set()
    left_out = of_others if dataset["adapter"] == "folder" else set()
    settings = {name: value for name, value in dataset["settings"].items() if name not in left_out}
    return {"adapter": dataset["adapter"], **settings}


def folder_answers(wildcards):
    """What the config says of folders of a split whose names could mean good or a defect.

    The script takes all answers from the config: an answer about a test folder is no news to the training images.
    """
    dataset, tops = dataset_of(wildcards), watched_paths(**wildcards)
    answers = dataset["settings"] if dataset["adapter"] == "folder" else {}
    return {
        key: [name for name in answers.get(key, []) if any((Path(top) / name).is_dir() for top in tops)]
        for key in ("good", "defects")
    }


def is_gone(wildcards):
    """Whether a user's folder is not there."""
    return has_lost_folder(wildcards.dataset)


def has_lost_folder(dataset):
    path = config["datasets"][dataset]["path"]
    return bool(path) and not Path(path).is_dir()


def contents_of(archive):
    # unpacking the same archive again, after a change of code or environment, brings nothing new
    return ancient(downloaded_place(rules.unpack_archive.output.contents, unpacked=archive))


def downloaded_place(pattern, **names):
    """An output of a rule below the downloads, which have to be a folder that can be written to while it is not there."""
    place = file_of(pattern, **names)
    if not Path(place).exists():
        check_folder(DOWNLOADS)
    return place


def dataset_files(wildcards):
    """What a data set is read from: the adapter's code, and what rules render, or unpack of an archive.

    A user's own files are none of these: `files_version` tells of their changes.
    """
    dataset = dataset_of(wildcards)
    contents = contents_of(dataset["adapter"]) if is_downloaded(dataset) else []
    return {"adapter": adapter_code(wildcards), "rendered": rendered_root(wildcards), "downloaded": contents}


def watched_paths(dataset, category, split):
    """The folders of a user that a split is made of."""
    entry = config["datasets"][dataset]
    if not entry["path"] or not Path(entry["path"]).is_dir():
        return []
    pooled = entry["pool"] is not None
    return list(map(str, watched(entry["adapter"], root_of(dataset, entry), category, split, pooled)))


@functools.cache
def stamps_in(*folders, images_alone=False):
    """Sizes and times of the files of a user, looked at once."""
    return stamps_of(folders, images_alone)


def may_have_unlabelled(place):
    """Whether a category can have unlabelled photographs: a pool, files in such a folder, or an adapter of the user's own."""
    entry = config["datasets"][place["dataset"]]
    if entry["pool"] is not None or has_lost_folder(place["dataset"]):
        return True
    if entry["adapter"] != "folder":
        return own_file(entry["adapter"]) is not None
    return bool(watched_stamps(place["dataset"], place["category"], "unlabelled"))


def watched_stamps(dataset, category, split):
    """Those of the files that a split is listed from: notes and thumbnails beside photographs are none of them."""
    of_folder = config["datasets"][dataset]["adapter"] in LAID_OUT_AS_FOLDER
    return stamps_in(*watched_paths(dataset, category, split), images_alone=of_folder)


def files_version(wildcards):
    """Another text when the content of a user's file is another, or a file of the split came or went.

    Times that moved are taken down here: `onstart` is not reached where there is nothing to be done.
    """
    record = file_of(rules.index_category.output.files, **wildcards)
    if is_gone(wildcards):
        return KnownFiles(record).version
    runs = workflow.executor_plugin is not None and not workflow.dryrun  # there is none for --summary, --dag and --lint
    root = root_of(wildcards.dataset, dataset_of(wildcards))
    return version_of(record, watched_stamps(**wildcards), root, note=workflow.is_main_process and runs)


def file_names(wildcards):
    """Another text when any file of a user's category came or went; of a folder that is gone the recorded one.

    From its second line on it holds what the user objects to: the inventory says what became of each.
    """
    if is_gone(wildcards):
        return recorded_names(wildcards)
    folders = [path for split in SPLITS for path in watched_paths(wildcards.dataset, wildcards.category, split)]
    of_folder = dataset_of(wildcards)["adapter"] in LAID_OUT_AS_FOLDER  # else a parent may hold anything
    homes = sorted({str(Path(path).parent) if of_folder else path for path in folders})
    version = version_of("", dict.fromkeys(stamps_in(*homes)), root_of(wildcards.dataset, dataset_of(wildcards)))
    return "\n".join([version, *objections(wildcards)])


def recorded_names(wildcards):
    """What `take_inventory` has written down."""
    return KnownFiles(file_of(rules.take_inventory.output.files, **place_of(wildcards))).version


def objections(wildcards):
    """Which photographs a person does not want to be trained on, line by line; of a folder that is gone the recorded ones."""
    if is_gone(wildcards):
        return recorded_names(wildcards).split("\n")[1:]
    dataset = dataset_of(wildcards)
    file = not_good_file(dataset["adapter"], root_of(wildcards.dataset, dataset), wildcards.category)
    return checked(lambda config: read_not_good(file))


def pile_of_recipe(wildcards):
    """How many images a recipe may choose from, with which share of defects, in how many runs."""
    pile = {key: recipe_of(wildcards).get(key) for key in ("size", "contamination")}
    return {"runs": config["scenarios"][wildcards.scenario]["runs"], **pile}


def candidates_of_recipe(wildcards):
    """Where a recipe's candidates are listed: among unlabelled images, or test images where it is called so."""
    split = "test" if recipe_of(wildcards).get("transductive") else "unlabelled"
    return of_split(split, rules.index_category.output.manifest)


def say_what_was_used():
    """What the run's own images were used for, and which were not, on the terminal: nothing is dropped in silence."""
    for place in categories_of_part():
        inventory = Path(file_of(rules.take_inventory.output.inventory, **place))
        packed = [Path(path) for path in files_of(in_splits([place], SPLITS), rules.pack_category.output.images)]
        lines = list(sentences_of(inventory, filter(Path.is_file, packed))) if is_whole(inventory) else []
        answers = map(Path, files_of(turning_places([place]), rules.decide_turning.output.turning))
        turning = [Turning.read(path) for path in filter(is_whole, answers)]
        lines += [answer.sentence.rstrip(".") for answer in turning if answer.turns or answer.ratio is None]
        for number, line in enumerate(lines):
            print(f"{place['dataset']}/{place['category']}: {line}" if not number else f"  {line}", file=sys.stderr)


def scale_of_split(wildcards):
    """The training images, whose scale the values of the other splits get."""
    return [] if wildcards.split == "train" else of_split("train", rules.pack_category.output.images)


def refuses_copies(wildcards):
    """Whether test images that are training images are a mistake: in what a user put together, and as the config says.

    No business of training images, so that the answer to a question about test images trains nothing anew.
    """
    dataset = dataset_of(wildcards)
    answer = dataset["copies"] or ("refuse" if dataset["path"] else "warn")
    return (wildcards.split == "test" or has_pool(wildcards)) and answer == "refuse"


def has_pool(wildcards):
    """Whether the images of a split are drawn from those with labels."""
    return wildcards.split == "unlabelled" and dataset_of(wildcards)["pool"] is not None


def test_beside_pool(wildcards):
    """The test images, none of which an image of a pool may be. A user's own pile is not packed anew for a test image."""
    return of_split("test", rules.pack_category.output.images) if has_pool(wildcards) else []


def pool_of_split(wildcards):
    """What the pool of a data set takes away from a split, or adds to it: training images are no matter of its defects."""
    pool = dataset_of(wildcards)["pool"]
    return {key: pool[key] for key in ("good", "seed")} if pool and wildcards.split == "train" else pool


def adapter_code(wildcards):
    """The library files of a data set's adapter, which its scripts import by name."""
    file = adapter_file(dataset_of(wildcards)["adapter"])
    return code_from(file) if file.is_file() else []


def parts_of(archive):
    """An archive and the files that belong beside what is in it, by their names in the catalogue."""
    return [archive, *BESIDE.get(archive, ())]


def mirror_of(name):
    """Where the config says that a download is in place of its publisher's address, and its hash there."""
    return config["downloads"]["sources"].get(name, {})
