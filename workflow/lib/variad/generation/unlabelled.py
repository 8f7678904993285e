"""Unlabelled photographs that were chosen as good ones: as added images, as parents of more, and beside what is made.

Which are chosen is decided elsewhere; its table ``chosen`` has the columns run, image_id, score, cut and kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.records import read_images
from variad.generation.added import AddedImages
from variad.generation.settings import Request

# times as far from the shots as from each other: the own photographs of bottles, nuts and bricks are 0.96 to 1.10,
# those of other products 1.57 and more
STRANGE = 1.33


def chosen_images(images: str | Path, chosen: pd.DataFrame) -> AddedImages:
    """Every candidate of every run with its score, best first, as a copy of itself; accepted are those that were kept.

    A photograph that is a candidate of several runs is one picture.

    Args:
        images: the ``images.h5`` that the candidates are in.
        chosen: schema ``chosen``.

    Raises:
        UserError: the table names an image that the file lacks.
    """
    table = chosen.sort_values(["run", "score", "image_id"], kind="stable")
    names, picture = np.unique(table["image_id"].to_numpy(str), return_inverse=True)
    requests = [Request(int(run), str(name), 0) for run, name in zip(table["run"], table["image_id"], strict=True)]
    added = AddedImages.of(read_images(images, list(map(str, names))), requests, np.zeros(len(table), np.float32))
    return replace(
        added,
        accepted=table["kept"].to_numpy(bool),
        picture=picture.astype(np.int64),
        score=table["score"].to_numpy(np.float32),
    )


def with_chosen(shots: Mapping[int, Sequence[str]], chosen: pd.DataFrame) -> dict[int, list[str]]:
    """image_ids of every run's shots, then of its kept photographs, best first: what images are made of."""
    kept = chosen[chosen["kept"].astype(bool)].sort_values(["score", "image_id"], kind="stable")
    return {run: [*own, *kept.loc[kept["run"] == run, "image_id"]] for run, own in shots.items()}


def joined(chosen: AddedImages, made: AddedImages) -> AddedImages:
    """Chosen photographs and then what was made of them and of the shots, as one set of added images."""
    before = len(chosen.run)
    missing = np.full(len(made.run), np.nan, np.float32)
    return AddedImages(
        images=np.concatenate([chosen.images, made.images]),
        run=np.concatenate([chosen.run, made.run]),
        parent=chosen.parent + made.parent,
        prompt=chosen.prompt + made.prompt,
        seed=np.concatenate([chosen.seed, made.seed]),
        similarity=np.concatenate([chosen.similarity, made.similarity]),
        distance=np.concatenate([chosen.distance, made.distance]),
        accepted=np.concatenate([chosen.accepted, made.accepted]),
        picture=np.concatenate([chosen.shown, len(chosen.images) + made.shown]),
        score=np.concatenate([_scores(chosen), missing]),
        trace={name: _after_nothing(before, values) for name, values in made.trace.items()},
        steps=made.steps,
        steps_index=None if made.steps_index is None else before + made.steps_index,
        steps_iteration=made.steps_iteration,
    )


def choice_sentence(chosen: pd.DataFrame, tested: Collection[str] = ()) -> str:
    """How many photographs the runs of a table ``chosen`` took as good ones, and what is wrong with them, in words.

    Args:
        tested: image_ids of photographs that are test images as well, which is told of those that were taken.
    """
    if chosen.empty:
        return "there are no unlabelled photographs to choose from: it has the shots and what is made of them."
    taken = chosen[chosen["kept"].astype(bool)]
    kept = taken.groupby("run").size().reindex(chosen["run"].unique(), fill_value=0)
    counts = f"{kept.min()} to {kept.max()}" if kept.min() < kept.max() else f"{kept.min()}"
    known = taken.loc[taken["image_id"].isin(list(tested)), "image_id"].nunique()
    leak = f"; {known} of them {'are test images' if known > 1 else 'is a test image'}, so figures mean nothing"
    sentence = f"{counts} of {chosen.groupby('run').size().max()} unlabelled photographs are taken as good"
    return f"{sentence}{leak if known else ''}.{_warning(chosen)}"


def _warning(chosen: pd.DataFrame) -> str:
    times = float(chosen["strangeness"].median())
    if not times >= STRANGE:
        return ""
    return f" They may show another product: they are {times:.1f} times as far from the shots as from each other."


def _scores(added: AddedImages) -> NDArray[np.float32]:
    return np.full(len(added.run), np.nan, np.float32) if added.score is None else added.score


def _after_nothing(count: int, values: NDArray[Any]) -> NDArray[Any]:
    """Values of each image ``[M, ...]`` after ``count`` rows of NaN, of images that have none."""
    return np.concatenate([np.full((count, *values.shape[1:]), np.nan, values.dtype), values])
