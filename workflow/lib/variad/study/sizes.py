"""How much there is in a study: images of each category, shots, added images, runs and texts, layers of networks.

A category's images are counted by its manifests; before it is indexed they are as published, or as its settings have
them. Where none of these tells, ``Study`` raises ``UnknownSize``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from variad.core.checksums import check
from variad.core.images import SUFFIXES
from variad.core.tables import read_table
from variad.datasets.adapters import root_of, watched
from variad.datasets.packaged import Elpv
from variad.datasets.pool import Pool
from variad.datasets.textures import KINDS, Textures
from variad.generation.settings import images_per_parent, takes_unlabelled

PUBLISHED = Path(__file__).resolve().parents[4] / "resources" / "published" / "dataset_sizes.csv"
SINGLE_WORDS = 83_118  # of WordNet 3.0: the most that `wordnet_all` has
_BOTTLENECK = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 16), "layer4": (2048, 32)}
# channels and stride of the layers of the networks that the configs name
LAYERS = {
    "efficientnet_lite0": {"stage3": (40, 8), "stage5": (112, 16), "stage7": (320, 32)},
    "resnet18": {"layer1": (64, 4), "layer2": (128, 8), "layer3": (256, 16), "layer4": (512, 32)},
    "resnet50": _BOTTLENECK,
    "wide_resnet50_2": _BOTTLENECK,
    "vit_small_patch14_dinov2": {f"blocks.{block}": (384, 14) for block in range(12)},
    "vit_small_patch14_reg4_dinov2": {f"blocks.{block}": (384, 14) for block in range(12)},
    "vit_small_patch16_dinov3": {f"blocks.{block}": (384, 16) for block in range(12)},
}
PDN_CHANNELS = {"pdn_tiny": 96, "pdn_small": 384, "pdn_medium": 384}

Names = Mapping[str, str]  # the values of a job's wildcards, such as dataset, category and scenario


class UnknownSize(Exception):
    """Something depends on a number that is known only once the data are there."""


@dataclass(frozen=True)
class Size:
    """Images of a category by split, and the mean area of one, megapixels."""

    train: int
    test: int
    megapixels: float
    unlabelled: int = 0  # where nobody has listed them

    def of(self, split: str) -> int:
        """Images of a split."""
        images: int = getattr(self, split)
        return images


Sizes = dict[tuple[str, str], Size | None]


@dataclass(frozen=True)
class Study:
    """A resolved config with the sizes of its categories, by (data set, category)."""

    config: Mapping[str, Any]
    sizes: Sizes

    def size(self, names: Names) -> Size:
        """Of the category.

        Raises:
            UnknownSize: as the other methods do that need it.
        """
        size = self.sizes[names["dataset"], names["category"]]
        if size is None:
            raise UnknownSize
        return size

    def runs(self, names: Names) -> int:
        """Of the scenario, or as many of them as the detector sees."""
        runs: int = self.config["scenarios"][names["scenario"]]["runs"]
        only = self.config["study"]["only"].get(names.get("detector"), {})
        return min(runs, only.get("runs", runs))

    def shots(self, names: Names) -> int:
        """Shots of one run."""
        shots = self.config["scenarios"][names["scenario"]]["shots"]
        if shots == "all":
            return self.size(names).train
        size = self.sizes[names["dataset"], names["category"]]
        return min(int(shots), size.train) if size else int(shots)

    def added(self, names: Names) -> int:
        """Added images of one run, before any is refused."""
        return self.candidates(names) + self.made(names)

    def made(self, names: Names) -> int:
        """Images that one run makes of its shots, and of all candidates where it makes some of chosen photographs."""
        recipe = self.config["training_sets"][names["training_set"]]
        if recipe.get("as_pool"):
            good: int = self.config["datasets"][names["dataset"]]["pool"]["good"]
            return min(good, self.size(names).train - self.shots(names))
        each = images_per_parent(recipe, names["scenario"])
        return round(each * (self.shots(names) + self.candidates(names))) if each else 0

    def all_added(self, names: Names) -> int:
        """Different added images of all runs: photographs that are chosen are the same in every run."""
        return self.candidates(names) + self.runs(names) * self.made(names)

    def candidates(self, names: Names) -> int:
        """Photographs that some are chosen from; those of a user's folder that nobody has listed yet by its files."""
        recipe = self.config["training_sets"][names["training_set"]]
        if not takes_unlabelled(recipe):
            return 0
        if recipe.get("transductive"):
            return self.size(names).test
        dataset = self.config["datasets"][names["dataset"]]
        if self.sizes[names["dataset"], names["category"]] is None and dataset.get("path"):
            found = _image_files(dataset, names)
        else:
            found = self.size(names).unlabelled
        return found if recipe.get("size") is None else min(found, recipe["size"])

    def texts(self, names: Names) -> int:
        """Prompts of a category, at most: a class with few neighbours in WordNet has fewer."""
        settings = {**self.config["prompts"], **self.config["datasets"][names["dataset"]]["prompts"]}
        wanted: int = settings["words_per_round"] * settings["rounds"]
        return min(wanted, SINGLE_WORDS) if settings["word_source"] == "wordnet_all" else wanted

    def extractor(self, name: str) -> dict[str, Any]:
        """An extractor with the side of the image that its network sees, ``side``, pixels."""
        entry = self.config["extractors"][name]
        return {**entry, "side": entry["crop"] or entry["resolution"] or self.config["image_size"]}


def _image_files(dataset: Mapping[str, Any], names: Names) -> int:
    """Images by their names among the unlabelled files of a user's folder, with all that is below it."""
    folders = watched(dataset["adapter"], root_of(names["dataset"], dataset), names["category"], "unlabelled")
    return sum(path.suffix.lower() in SUFFIXES for folder in folders for path in folder.rglob("*"))


def sizes_of(config: Mapping[str, Any], results: str | Path = "results") -> Sizes:
    """Sizes by (data set, category): from the manifest, else as published or as the settings have it, else None."""
    published = {
        (row["adapter"], row["category"]): Size(row["train"], row["test"], row["megapixels"])
        for row in read_table(PUBLISHED, "dataset_sizes").to_dict("records")
    }
    return {
        (name, category): _from_manifests(Path(results) / name / category)
        or _pooled(
            _from_settings(dataset["adapter"], dataset["settings"]) or published.get((dataset["adapter"], category)),
            dataset.get("pool"),
        )
        for name, dataset in config["datasets"].items()
        for category in dataset["categories"]
    }


def _pooled(size: Size | None, settings: Mapping[str, Any] | None) -> Size | None:
    """A size before the images of a pool are moved, and after."""
    if size is None or settings is None:
        return size
    pool = Pool(**settings)
    moved = pool.good + pool.bad
    return Size(size.train - pool.good, size.test - pool.bad, size.megapixels, size.unlabelled + moved)


def _from_manifests(folder: Path) -> Size | None:
    paths = {split: folder / split / "manifest.csv" for split in ("train", "test", "unlabelled")}
    check(paths.values(), None)
    tables = {split: read_table(path, "manifest") for split, path in paths.items() if path.is_file()}
    if not {"train", "test"} <= tables.keys():
        return None
    areas = pd.concat([table["height"] * table["width"] for table in tables.values()])
    count = {split: len(table) for split, table in tables.items()}
    return Size(count["train"], count["test"], float(areas.mean() / 1e6), count.get("unlabelled", 0))


def _from_settings(adapter: str, settings: Mapping[str, Any]) -> Size | None:
    """Sizes that the config decides: of ``elpv`` where it limits every part, and of the rendered ``textures``."""
    if adapter == "textures":
        made = Textures(Path(), **settings)
        test = made.test_good + made.defects_per_kind * len(KINDS)
        pile = made.unlabelled_good + made.unlabelled_per_kind * len(KINDS)
        return Size(made.train_good, test, made.tile_size**2 / 1e6, pile)
    if adapter == "elpv":
        cells = Elpv(**settings)
        if cells.train_good is not None and cells.test_good is not None and cells.test_defect is not None:
            pile = cells.unlabelled_good + cells.unlabelled_defect + cells.unlabelled_unsure
            return Size(cells.train_good, cells.test_good + cells.test_defect, 0.09, pile)
    return None


def layer_shapes(extractor: Mapping[str, Any], layers: Sequence[str] | None = None) -> list[tuple[int, int]] | None:
    """(channels, side) of each layer's feature map; None for a network that is not listed here.

    Args:
        extractor: entry of the config with ``side``, pixels.
        layers: those of the extractor's layers that are wanted; None is all.
    """
    wanted = layers or extractor["layers"]
    network = str(extractor["backbone"]).partition(".")[0]
    if network in PDN_CHANNELS:  # without padding: a quarter of the image, less eight positions
        return [(PDN_CHANNELS[network], -(-extractor["side"] // 4) - 8) for _ in wanted]
    known = LAYERS.get(network, {})
    if any(layer not in known for layer in wanted):
        return None
    return [(known[layer][0], -(-extractor["side"] // known[layer][1])) for layer in wanted]
