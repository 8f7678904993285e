"""How many images a category has, as far as that is known before they are indexed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variad.tables import read_table

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
        from variad.datasets.simulated_defects import KINDS
        from variad.datasets.textures import Textures

        made = Textures(Path(), **settings)
        test = made.test_good + made.defects_per_kind * len(KINDS)
        return Size(made.train_good, test, made.tile_size**2 / 1e6)
    if adapter == "elpv":
        from variad.datasets.elpv import Elpv

        cells = Elpv(**settings)
        if cells.train_good is not None and cells.test_good is not None and cells.test_defect is not None:
            return Size(cells.train_good, cells.test_good + cells.test_defect, 0.09)
    return None


def _from_table(published: Any, adapter: str, category: str) -> Size | None:
    if (adapter, category) not in published.index:
        return None
    row = published.loc[(adapter, category)]
    return Size(int(row["train"]), int(row["test"]), float(row["megapixels"]))
