"""How many images a category has, as far as that is known before they are indexed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variad.core.tables import read_table
from variad.generation.settings import is_guided

PUBLISHED = Path(__file__).resolve().parents[4] / "resources" / "published" / "dataset_sizes.csv"


@dataclass(frozen=True)
class Size:
    """Training and test images of a category, and the mean area of one, megapixels."""

    train: int
    test: int
    megapixels: float

    @property
    def images(self) -> int:
        return self.train + self.test


Sizes = dict[tuple[str, str], Size | None]


def sizes_of(config: Mapping[str, Any], results: str | Path = "results") -> Sizes:
    """Sizes by (data set, category): from the manifest, else as published or as the settings have it, else None."""
    published = read_table(PUBLISHED, "dataset_sizes").set_index(["adapter", "category"])
    return {
        (name, category): _from_manifest(Path(results) / name / category / "manifest.csv")
        or _from_settings(dataset["adapter"], dataset["settings"])
        or _from_table(published, dataset["adapter"], category)
        for name, dataset in config["datasets"].items()
        for category in dataset["categories"]
    }


def _from_manifest(path: Path) -> Size | None:
    if not path.is_file():
        return None
    manifest = read_table(path, "manifest")
    split = manifest["split"].value_counts()
    area = (manifest["height"] * manifest["width"]).mean() / 1e6
    return Size(int(split.get("train", 0)), int(split.get("test", 0)), float(area))


def _from_settings(adapter: str, settings: Mapping[str, Any]) -> Size | None:
    """Sizes that the config decides: of ``elpv`` where it limits every part, and of the rendered ``textures``."""
    if adapter == "textures":
        from variad.datasets.textures import KINDS, Textures

        made = Textures(Path(), **settings)
        test = made.test_good + made.defects_per_kind * len(KINDS)
        return Size(made.train_good, test, made.tile_size**2 / 1e6)
    if adapter == "elpv":
        from variad.datasets.packaged import Elpv

        cells = Elpv(**settings)
        if cells.train_good is not None and cells.test_good is not None and cells.test_defect is not None:
            return Size(cells.train_good, cells.test_good + cells.test_defect, 0.09)
    return None


def _from_table(published: Any, adapter: str, category: str) -> Size | None:
    if (adapter, category) not in published.index:
        return None
    row = published.loc[(adapter, category)]
    return Size(int(row["train"]), int(row["test"]), float(row["megapixels"]))


# Questions to a resolved config and the sizes of its categories: how many shots, added images, runs, texts.

SINGLE_WORDS = 83_118  # of WordNet 3.0: the most that `wordnet_all` has


@dataclass(frozen=True)
class Study:
    """A resolved config with the sizes of its categories."""

    config: Mapping[str, Any]
    sizes: Sizes

    def size(self, names: Mapping[str, str]) -> Size | None:
        """Of the category."""
        return self.sizes[names["dataset"], names["category"]]

    def runs(self, names: Mapping[str, str]) -> int:
        """Of the scenario, or as many of them as the detector sees."""
        runs: int = self.config["scenarios"][names["scenario"]]["runs"]
        only = self.config["study"]["only"].get(names.get("detector"), {})
        return min(runs, only.get("runs", runs))

    def shots(self, names: Mapping[str, str]) -> int | None:
        """Shots of one run; None where all are taken and nobody knows how many there are."""
        shots = self.config["scenarios"][names["scenario"]]["shots"]
        size = self.size(names)
        if shots == "all":
            return size.train if size else None
        return min(int(shots), size.train) if size else int(shots)

    def added(self, names: Mapping[str, str]) -> int | None:
        """Added images of one run, before any is refused."""
        recipe, shots = self.config["training_sets"][names["training_set"]], self.shots(names)
        if recipe["method"] == "none":
            return 0
        return None if shots is None else round(recipe["images_per_shot"][names["scenario"]] * shots)

    def texts(self, names: Mapping[str, str]) -> int:
        """Prompts of a category, at most: a class with few neighbours in WordNet has fewer."""
        settings = {**self.config["prompts"], **self.config["datasets"][names["dataset"]]["prompts"]}
        wanted: int = settings["words_per_round"] * settings["rounds"]
        return min(wanted, SINGLE_WORDS) if settings["word_source"] == "wordnet_all" else wanted

    def recipe(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Of the training set."""
        recipe: dict[str, Any] = self.config["training_sets"][names["training_set"]]
        return recipe

    def extractor(self, name: str) -> dict[str, Any]:
        """An extractor with the side of the image that its network sees, ``side``, pixels."""
        entry = self.config["extractors"][name]
        return {**entry, "side": entry["crop"] or entry["resolution"] or self.config["image_size"]}

    def optimisation_steps(self, names: Mapping[str, str]) -> int | None:
        """Steps of all guided images of a training set, in one run."""
        recipe, added = self.recipe(names), self.added(names)
        if not is_guided(recipe):
            return 0
        return None if added is None else added * int(recipe["iterations"])


# Sizes of feature maps, which decide what a memory bank costs and how much disk features take.

_BOTTLENECK = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 16), "layer4": (2048, 32)}
# channels and stride of the layers of the networks that the configs name
LAYERS = {
    "efficientnet_lite0": {"stage3": (40, 8), "stage5": (112, 16), "stage7": (320, 32)},
    "resnet18": {"layer1": (64, 4), "layer2": (128, 8), "layer3": (256, 16), "layer4": (512, 32)},
    "resnet50": _BOTTLENECK,
    "wide_resnet50_2": _BOTTLENECK,
}
PDN_CHANNELS = {"pdn_tiny": 96, "pdn_small": 384, "pdn_medium": 384}


def layer_shapes(extractor: Mapping[str, Any], layers: Sequence[str] | None = None) -> list[tuple[int, int]] | None:
    """(channels, side) of each layer's map; None for a network that is not listed here.

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


def bytes_an_image(extractor: Mapping[str, Any]) -> int | None:
    """Of one image's features on disk, float32; None for a network that is not listed here."""
    shapes = layer_shapes(extractor)
    return sum(channels * side * side * 4 for channels, side in shapes) if shapes else None
