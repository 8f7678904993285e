"""Drawing the few normal images that each scenario and run may see."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variad.errors import UserError
from variad.seeding import numpy_generator


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
    rows = [
        (name, run, normals[position])
        for name, scenario in scenarios.items()
        for run in range(scenario["runs"])
        for position in numpy_generator(root_seed, dataset, category, run).permutation(len(normals))[
            : _number(name, scenario["shots"], len(normals), f"{dataset}/{category}")
        ]
    ]
    return pd.DataFrame(rows, columns=["scenario", "run", "image_id"])


def _number(scenario: str, shots: int | str, available: int, where: str) -> int:
    number = available if shots == "all" else int(shots)
    if not 1 <= number <= available:
        raise UserError(
            f"scenario {scenario}, shots: expected from 1 to {available}, the number of training normals of {where}, "
            f"found {shots}."
        )
    return number
