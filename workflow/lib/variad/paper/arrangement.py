"""How the first document arranges its tables 5 to 15: blocks, columns and their titles, as data."""

from collections.abc import Iterator
from dataclasses import dataclass

from variad.evaluation.aggregation import SCENARIOS

NAMES = {"mvtec_ad": "MVTec AD", "btad": "BTAD", "mvtec_loco": "MVTec LOCO AD"}
DETECTORS = {
    "patchcore": "Patchcore",
    "cflow": "Cflow",
    "reverse_distillation": "Reverse-distillation",
    "efficientad": "Efficient-AD",
}
_OBJECTS = "bottle cable capsule hazelnut metal_nut pill screw toothbrush transistor zipper"
OBJECTS = {name: name.capitalize().replace("_", "-") for name in _OBJECTS.split()}
TEXTURES = {name: name.capitalize() for name in ("carpet", "grid", "leather", "tile", "wood")}
BTAD = {"01": "Class-1", "02": "Class-2", "03": "Class-3"}
LOCO = {
    "breakfast_box": "Class-1",
    "juice_bottle": "Class-2",
    "pushpins": "Class-3",
    "screw_bag": "Class-4",
    "splicing_connectors": "Class-5",
}
# the categories that an average of a data set is over
MEMBERS = {
    ("mvtec_ad", "average"): (*OBJECTS, *TEXTURES),
    ("mvtec_ad", "average_object"): tuple(OBJECTS),
    ("mvtec_ad", "average_texture"): tuple(TEXTURES),
    ("btad", "average"): tuple(BTAD),
    ("mvtec_loco", "average"): tuple(LOCO),
}


@dataclass(frozen=True)
class PaperTable:
    """One table: a block of rows (a baseline, the document's method, the gain) under common columns.

    Attributes:
        title: what it shows, in our words.
        fixed: the part of a number's key that the whole table shares: dataset, and detector or category.
        blocks: title of the baseline's row in each block, by what tells blocks apart, the detector or the scenario.
        columns: title of each column by what tells columns apart, the scenario or the category.
        metrics: that a cell holds, one after another.
    """

    number: int
    title: str
    fixed: dict[str, str]
    blocks: dict[str, str]
    columns: dict[str, str]
    metrics: tuple[str, ...] = ("image_auroc",)
    block_key: str = "scenario"
    column_key: str = "category"

    def keys(self, block: str, column: str) -> list[dict[str, str]]:
        """dataset, detector, scenario, category and metric of the numbers in one cell."""
        here = {**self.fixed, self.block_key: block, self.column_key: column}
        return [{**here, "metric": metric} for metric in self.metrics]


def _by_category(
    number: int, dataset: str, detector: str, kind: str, titles: dict[str, str], average: str = "average"
) -> PaperTable:
    title = f"{NAMES[dataset]}, {DETECTORS[detector]}, {kind}: image AUROC"
    fixed = {"dataset": dataset, "detector": detector}
    return PaperTable(number, title, fixed, SCENARIOS, {**titles, average: "Avg"})


def _tables() -> Iterator[PaperTable]:
    title = "MVTec AD, all detectors, mean of all categories: image AUROC / pixel AUROC"
    fixed, metrics = {"dataset": "mvtec_ad", "category": "average"}, ("image_auroc", "pixel_auroc")
    yield PaperTable(5, title, fixed, DETECTORS, SCENARIOS, metrics, "detector", "scenario")
    for index, detector in enumerate(DETECTORS):
        yield _by_category(6 + 2 * index, "mvtec_ad", detector, "objects", OBJECTS, "average_object")
        yield _by_category(7 + 2 * index, "mvtec_ad", detector, "textures", TEXTURES, "average_texture")
    yield _by_category(14, "btad", "patchcore", "all categories", BTAD)
    yield _by_category(15, "mvtec_loco", "patchcore", "all categories", LOCO)


TABLES = {table.number: table for table in _tables()}
