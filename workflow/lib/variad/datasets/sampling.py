"""Drawing the few normal images that each scenario and run may see: the shots, and the support sets of selection."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.core.tables import read_table

SETS = ("bank", "seeds", "validation")


def sample_shots(
    manifest: pd.DataFrame, scenarios: Mapping[str, Mapping[str, Any]], root_seed: int, dataset: str, category: str
) -> pd.DataFrame:
    """Draw the shots of every scenario and run: rows of the schema ``shots``.

    A run has one permutation of the training normals, seeded by (dataset, category, run), whatever the scenario. The
    shots are its first ones, so the shots of a smaller scenario are the first of a larger one's in the same run.

    Args:
        manifest: of the category, any order of rows.
        scenarios: by name, ``{"shots": number or "all", "runs": number}``.
        root_seed: ``run.seed`` of the config.

    Raises:
        UserError: a scenario asks for more shots than there are training normals, or for fewer than one.
    """
    normals = sorted(manifest.loc[manifest["split"] == "train", "image_id"])
    rows = []
    for name, scenario in scenarios.items():
        number = len(normals) if scenario["shots"] == "all" else int(scenario["shots"])
        if not 1 <= number <= len(normals):
            raise UserError(
                f"scenario {name}, shots: expected from 1 to {len(normals)}, the number of training normals of "
                f"{dataset}/{category}, found {scenario['shots']}."
            )
        for run in range(scenario["runs"]):
            order = numpy_generator(root_seed, dataset, category, run).permutation(len(normals))
            rows += [(name, run, normals[position]) for position in order[:number]]
    return pd.DataFrame(rows, columns=["scenario", "run", "image_id"])


def sample_support(
    manifest: pd.DataFrame, counts: Mapping[str, int], runs: int, root_seed: int, dataset: str, category: str
) -> pd.DataFrame:
    """Draw disjoint sets of training normals in every run: rows of the schema ``support``.

    A run has one permutation of the training normals, seeded by (dataset, category, run); ``bank`` (what detectors are
    fitted on) takes the first, ``seeds`` (what anomalies are made from: first half styles, second half contents) the
    next, ``validation`` (the normals of the synthetic test) the ones after. Of files that are copies the first alone is
    drawn from: a detector would have seen a validation image in its bank. Only ``image_id``, ``split`` and ``sha256``
    of the manifest are read.

    Args:
        manifest: of the category, any order of rows.
        counts: number of images by the names of ``SETS``.

    Raises:
        UserError: there are fewer training normals than the sets need together.
    """
    train = manifest[manifest["split"] == "train"].sort_values("image_id")
    normals = list(train.drop_duplicates("sha256")["image_id"])
    needed = sum(counts[name] for name in SETS)
    if needed > len(normals):
        parts = " + ".join(f"{counts[name]} {name}" for name in SETS)
        raise UserError(
            f"selection of {dataset}/{category}: expected at least {needed} training normals ({parts}), "
            f"found {len(normals)}."
        )
    names = [name for name in SETS for _ in range(counts[name])]
    rows = []
    for run in range(runs):
        order = numpy_generator(root_seed, dataset, category, run, "support").permutation(len(normals))
        rows += [(run, normals[position], name) for position, name in zip(order, names, strict=False)]
    return pd.DataFrame(rows, columns=["run", "image_id", "set"])


@dataclass(frozen=True)
class Support:
    """image_ids of one run, disjoint and in order.

    Attributes:
        bank: what a detector is fitted on.
        seeds: what anomalies are made from.
        validation: the normal half of the synthetic test.
    """

    bank: tuple[str, ...]
    seeds: tuple[str, ...]
    validation: tuple[str, ...]

    @property
    def styles(self) -> tuple[str, ...]:
        """First half of the seeds."""
        return self.seeds[: len(self.seeds) // 2]

    @property
    def contents(self) -> tuple[str, ...]:
        """Second half of the seeds."""
        return self.seeds[len(self.seeds) // 2 :]


def read_support(path: str | Path) -> dict[int, Support]:
    """The support sets of a ``support.csv``, by run.

    Raises:
        UserError: the table is empty, or an image has two places in a run.
    """
    table = read_table(path, "support")
    if table.empty:
        raise UserError(f"{path}: expected the images of at least one run, found an empty table.")
    twice = table[table.duplicated(["run", "image_id"])]
    if len(twice):
        raise UserError(f"{path}: expected each image once a run, found {twice['image_id'].iloc[0]} twice.")
    return {
        int(run): Support(**{name: tuple(rows.loc[rows["set"] == name, "image_id"]) for name in SETS})  # type: ignore[arg-type]
        for run, rows in table.groupby("run", sort=True)
    }


def all_image_ids(support: dict[int, Support]) -> list[str]:
    """Every image of every run once, sorted."""
    return sorted({name for run in support.values() for name in (*run.bank, *run.seeds, *run.validation)})


def control_image_ids(support: dict[int, Support]) -> list[str]:
    """Every image that stands for normal in some run, bank or validation, once, sorted."""
    return sorted({name for run in support.values() for name in (*run.bank, *run.validation)})
