"""What the first document prints in tables 4 and 16 to 18, each value with the note on what is odd about it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from variad.ablations.values import DECIMALS

DATASET = "mvtec_ad"
BASELINE_ROW = {16: "original", 17: "baseline", 18: "baseline"}
# The detector whose values stand in a column, and the scenario. Table 17 names neither: its baselines equal these.
PLACES = {
    (17, "leather"): ("efficientad", "one_shot"),
    (17, "pill"): ("cflow", "one_shot"),
    (18, "toothbrush"): ("patchcore", "one_shot"),
    (18, "grid"): ("patchcore", "one_shot"),
}
ROW_TITLES = {
    "baseline": "Baseline",
    "clip_vit_b_16": "ViT-B/16",
    "clip_rn50x64": "ResNet50x64",
    "strategies_1": "Strategies-1",
    "strategies_2": "Strategies-2",
    "autoaugment": "AutoAugmentation",
    "randaugment": "RandAugmentation",
    "generated": "Ours",
    "original": "Original",
    "mu": "mu",
    "mu_sigma": "mu + sigma",
    "mu_sigma_epsilon": "mu + sigma * epsilon",
}


@dataclass(frozen=True)
class Printed:
    """A printed value, its spread over runs, its gain over the printed baseline and the note on it; NaN for none."""

    mean: float
    std: float
    gain: float
    note: str = ""

    @property
    def columns(self) -> dict[str, float]:
        """The published columns of schema ``ablation_table``."""
        return {"published_mean": self.mean, "published_std": self.std, "published_gain": self.gain}


NONE = Printed(float("nan"), float("nan"), float("nan"))


def printed_component(published: pd.DataFrame, table: int, cell: Mapping[str, str], row: str) -> Printed:
    """A value of table 17 or 18, beside the cell that it is about and beside no other.

    Args:
        published: schema ``published_ablations``.
        cell: dataset, category, detector and scenario.
        row: the document's component, such as ``strategies_1``.
    """
    if cell["dataset"] != DATASET or PLACES.get((table, cell["category"])) != (cell["detector"], cell["scenario"]):
        return NONE
    # the document joins the kind of the product, or the detector, to the category: leather_texture
    rows = published[(published["table"] == table) & published["what"].str.startswith(f"{cell['category']}_")]
    return _printed(rows, "image_auroc_percent", row, BASELINE_ROW[table])


def printed_form(published: pd.DataFrame, dataset: str, metric: str, row: str) -> Printed:
    """A value of table 16; ``metric`` by the names of schema ``published_ablations``."""
    if dataset != DATASET:
        return NONE
    return _printed(published[published["table"] == 16], metric, row, BASELINE_ROW[16])


def printed_prompt(published: pd.DataFrame, dataset: str, category: str, choice: str) -> tuple[str, str]:
    """A prompt of table 4 and the note on it; empty where there is none. ``choice`` is ``best`` or ``worst``."""
    table = published[published["table"] == 4]
    rows = table[(table["component"] == category) & (table["setting"] == choice)]
    if dataset != DATASET or rows.empty:
        return "", ""
    return str(rows["value"].iloc[0]), str(rows["note"].iloc[0])


def _printed(rows: pd.DataFrame, metric: str, row: str, baseline: str) -> Printed:
    of_metric = rows[rows["metric"] == metric]
    here, before = (of_metric[of_metric["component"] == name] for name in (row, baseline))
    if here.empty:
        return NONE
    mean = float(here["value"].iloc[0])
    is_gain = metric.endswith("auroc_percent") and row != baseline and len(before)
    gain = round(mean - float(before["value"].iloc[0]), DECIMALS) + 0.0 if is_gain else float("nan")
    return Printed(mean, float(here["std"].iloc[0]), gain, str(here["note"].iloc[0]))
