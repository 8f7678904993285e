"""Whether a product lies at any angle, found without labels: do turned copies of a shot explain unlabelled photographs?

1. ``copies_of``: a shot and turned copies of it; beside them the shot and as many copies that hardly turn.
2. ``explained_better``: a photograph is explained as well as its patches are near to patches of these copies. The
   worst-explained tenth counts, so that a background, which every copy explains, does not.
3. ``judge``: the mean over shots against a limit, and the sentence that says so.
4. ``features_of_turned``: photographs of a product that turns, turned for the choice among them.

Nothing here sees a label. A photograph with a defect is explained by neither, and moves the mean little."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from variad.core.errors import UserError
from variad.core.images import FeatureMaps, Images
from variad.core.records import read_images
from variad.detectors.memory_bank import Vectors, embed_patches, nearest
from variad.generation.settings import STEP, Turn, Turning, turns
from variad.generation.strategies import turn
from variad.networks.features import to_tensor, to_uint8

LIMIT = 0.92  # below, a product turns: chosen on bricks, grass, gravel, bottles and nuts (docs/methods.md)
QUANTILE = 0.9  # of an image's patches, by their distance
GRID = 14  # positions along a side that patches are brought to, at most
STILL = 2.0  # degrees that the copies turn that hardly do
SHOTS = 5  # looked at, at most: each costs 46 images through the network
CANDIDATES = 60  # likewise
_BATCH = 24  # candidates in the network at once, as many as copies of a shot
_EPSILON = 1e-6  # photographs that are copies of a shot are explained fully by both

Embed = Callable[[Images], FeatureMaps]


def find_turning(shots: Mapping[str, Images], candidates: Images, embed: Embed) -> Turning:
    """Whether turned copies of the shots explain the candidates better than unturned ones do.

    Args:
        shots: one image ``[S, S, 3]`` by image_id.
        candidates: uint8 ``[N, S, S, 3]``; none leave the question open, which counts as no.
        embed: features of images, as a detector's extractor gives them.
    """
    if not len(candidates):
        return judge({}, 0)
    blocks = (candidates[start : start + _BATCH] for start in range(0, len(candidates), _BATCH))
    patches = np.concatenate([coarse_patches(embed(block)) for block in blocks])
    ratios = {}
    for name, shot in shots.items():
        turned, still = (coarse_patches(embed(copies)) for copies in copies_of(shot))
        ratios[name] = explained_better(patches, turned, still)
    return judge(ratios, len(candidates))


def copies_of(shot: Images, step: float = STEP) -> tuple[Images, Images]:
    """The shot ``[S, S, 3]`` and its turned copies ``[K, S, S, 3]``; the shot and as many within two degrees."""
    turned = [Turn(0.0), *turns(step)]
    count = len(turned) - 1
    still = [Turn(0.0), *(Turn((-1) ** place * STILL * (place + 1) / count) for place in range(count))]
    images = to_tensor(np.repeat(shot[None], len(turned), axis=0))
    return to_uint8(turn(images, turned)), to_uint8(turn(images, still))


def coarse_patches(features: FeatureMaps) -> Vectors:
    """PatchCore's patches ``[N, h, w, D]``, averaged over squares until a side has at most ``GRID``: ``[N, P, D]``."""
    patches = embed_patches(features)
    count, height, width, channels = patches.shape
    size = -(-max(height, width) // GRID)
    rows, columns = height // size, width // size
    squares = patches[:, : rows * size, : columns * size].reshape(count, rows, size, columns, size, channels)
    return squares.mean(axis=(2, 4)).reshape(count, rows * columns, channels)


def explained_better(candidates: Vectors, turned: Vectors, still: Vectors) -> float:
    """Distance of candidates' patches to turned copies over that to unturned ones: below 1, the turned explain better.

    Of every candidate the 90th percentile of its patches' distances to the nearest patch; the mean of these over
    candidates for either kind, since a mean of ratios would hang on the few that some copy explains almost fully.

    Args:
        candidates: ``[N, P, D]``, N >= 1.
        turned, still: patches of both kinds of copies, ``[K, P, D]``.
    """
    queries = candidates.reshape(-1, candidates.shape[-1])
    distances = [nearest(queries, copies.reshape(-1, copies.shape[-1]))[0] for copies in (turned, still)]
    high = [np.quantile(part.reshape(len(candidates), -1), QUANTILE, axis=1).mean() + _EPSILON for part in distances]
    return float(high[0] / high[1])


def judge(ratios: Mapping[str, float], candidates: int) -> Turning:
    """The geometric mean of the shots' ratios against the limit; without any, the answer is no.

    Args:
        ratios: of each shot, by its image_id, as ``explained_better`` gives them.
        candidates: how many photographs they are about.
    """
    if not ratios:
        sentence = "Nothing is turned: only unlabelled photographs show whether the product turns, and there are none."
        return Turning(False, None, LIMIT, candidates, {}, sentence)
    ratio = float(np.exp(np.mean([np.log(value) for value in ratios.values()])))
    photographs = f"{candidates} unlabelled photograph{'s are' if candidates > 1 else ' is'}"
    found = f"{photographs} {_compared(ratio)} ({100 * (1 - LIMIT):.0f} % nearer is the limit)."
    answer = "The product turns" if ratio < LIMIT else "The product does not turn"
    return Turning(ratio < LIMIT, ratio, LIMIT, candidates, dict(ratios), f"{answer}: {found}")


def _compared(ratio: float) -> str:
    percent = round(100 * abs(1 - ratio))
    if not percent:
        return "as near to turned copies of the shots as to unturned ones"
    where = "nearer to" if ratio < 1 else "farther from"
    return f"{percent} % {where} turned copies of the shots than {'to' if ratio < 1 else 'from'} unturned ones"


def first_shots(shots: Sequence[Mapping[int, Sequence[str]]]) -> list[str]:
    """The first shot of every run of the scenario with the fewest shots, each once, at most ``SHOTS``.

    Args:
        shots: image_ids by run, of every scenario.

    Raises:
        UserError: there is no scenario.
    """
    if not shots:
        raise UserError("rotations: expected the shots of a scenario at least, found none.")
    fewest = min(shots, key=lambda runs: min(len(names) for names in runs.values()))
    return list(dict.fromkeys(names[0] for names in fewest.values()))[:SHOTS]


def candidates_of(image_ids: Sequence[str], pools: Iterable[pd.DataFrame]) -> list[str]:
    """Those of the unlabelled photographs that are a candidate of some run, in their order.

    Args:
        image_ids: of split ``unlabelled``: a test image, which is a candidate of transductive recipes, is none of them.
        pools: tables ``pool``, which leave out what a person objects to.
    """
    wanted = {name for pool in pools for name in pool["image_id"]}
    return [name for name in image_ids if name in wanted]


def some_of(image_ids: Sequence[str], generator: np.random.Generator) -> list[str]:
    """At most ``CANDIDATES`` of the photographs, drawn once, in their order."""
    return [image_ids[row] for row in sorted(generator.permutation(len(image_ids))[:CANDIDATES])]


def features_of_turned(images: str | Path, image_ids: Sequence[str], degrees: float, embed: Embed) -> FeatureMaps:
    """Features of some of the images of an ``images.h5``, turned anticlockwise, the border continued."""
    pictures = to_tensor(read_images(images, image_ids))
    return embed(to_uint8(turn(pictures, [Turn(degrees)] * len(image_ids))))
