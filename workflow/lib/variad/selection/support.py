"""Drawing the support set of every run: the few normal images that selection may see."""

from collections.abc import Mapping

import pandas as pd

from variad.errors import UserError
from variad.seeding import numpy_generator

SETS = ("bank", "seeds", "validation")


def sample_support(
    manifest: pd.DataFrame, counts: Mapping[str, int], runs: int, root_seed: int, dataset: str, category: str
) -> pd.DataFrame:
    """Draw disjoint sets of training normals in every run: rows of the schema ``support``.

    A run has one permutation of the training normals, seeded by (dataset, category, run); ``bank`` (what detectors are
    fitted on) takes the first, ``seeds`` (what anomalies are made from: first half styles, second half contents) the
    next, ``validation`` (the normals of the synthetic test) the ones after. Only ``image_id`` and ``split`` of the
    manifest are read.

    Args:
        manifest: of the category, any order of rows.
        counts: number of images by the names of ``SETS``.

    Raises:
        UserError: there are fewer training normals than the sets need together.
    """
    normals = sorted(manifest.loc[manifest["split"] == "train", "image_id"])
    needed = sum(counts[name] for name in SETS)
    if needed > len(normals):
        parts = " + ".join(f"{counts[name]} {name}" for name in SETS)
        raise UserError(
            f"selection of {dataset}/{category}: expected at least {needed} training normals ({parts}), "
            f"found {len(normals)}."
        )
    names = [name for name in SETS for _ in range(counts[name])]
    rows = [
        (run, normals[position], name)
        for run in range(runs)
        for position, name in zip(
            numpy_generator(root_seed, dataset, category, run, "support").permutation(len(normals)), names, strict=False
        )
    ]
    return pd.DataFrame(rows, columns=["run", "image_id", "set"])
