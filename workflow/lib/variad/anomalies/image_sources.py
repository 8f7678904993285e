"""Anomalies that need no diffusion model, of all runs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from variad.anomalies.anomaly_file import Anomaly
from variad.anomalies.blurred import blurred
from variad.anomalies.cut_paste import cut_paste
from variad.anomalies.from_seeds import Alter, alter_seeds
from variad.anomalies.scar import scar
from variad.anomalies.support import Support
from variad.anomalies.unrelated import BUNDLED, donors, unrelated
from variad.errors import UserError
from variad.records import image_side, read_images

METHODS = ("cut_paste", "scar", "blurred", "unrelated")
GeneratorOf = Callable[[int], np.random.Generator]


def make_from_images(
    method: str,
    support: Mapping[int, Support],
    images: str | Path,
    count: int,
    generator_of: GeneratorOf,
    *,
    resolution: int = 64,
    donor_images: str = BUNDLED,
) -> dict[int, list[Anomaly]]:
    """``count`` anomalies a run.

    Args:
        method: one of ``METHODS``.
        images: the category's ``images.h5``.
        generator_of: the random generator of a run.
        resolution: of ``blurred``, pixels.
        donor_images: of ``unrelated``: ``photographs`` or a folder.

    Raises:
        UserError: a run has no seeds, or there are fewer images than ``count`` needs.
    """
    if method == "unrelated":
        pool, side = donors(donor_images), image_side(images)
        return {run: unrelated(pool, count, side, generator_of(run)) for run in support}
    alters: dict[str, Alter] = {"cut_paste": cut_paste, "scar": scar, "blurred": partial(blurred, resolution)}
    made = {}
    for run, sets in support.items():
        _check_seeds(method, run, sets.seeds, count)
        seeds = list(zip(sets.seeds, read_images(images, sets.seeds), strict=True))
        made[run] = alter_seeds(alters[method], seeds, count, generator_of(run))
    return made


def _check_seeds(method: str, run: int, seeds: Sequence[str], count: int) -> None:
    # Blurring the same image again gives the same image.
    needed = count if method == "blurred" else 1
    if len(seeds) < needed:
        raise UserError(f"support of run {run}: expected at least {needed} seeds for {method}, found {len(seeds)}.")
