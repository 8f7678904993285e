"""How near pictures come to each other: patches on a coarse grid, and their distances to those of other pictures.

1. ``grid_patches``: PatchCore's patches of every picture; ``turned_patches``, of pictures that are turned.
2. ``nearest_by_image``: how near each of them comes to every other picture; ``nearest_at_any_turn``, for a product that
   lies at any angle, how near at the best of eight turns.
3. ``distance_between``: how far two pictures of a pile usually are from each other.

Nothing here needs torch on a CPU."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import FeatureMaps
from variad.core.records import read_features, read_image_ids
from variad.core.seeding import numpy_generator
from variad.detectors.memory_bank import embed_patches, random_projection
from variad.selection.settings import DIMENSIONS, GRID, TURNS

Vectors = NDArray[np.float32]
Minima = Callable[[Vectors, Vectors, bool], tuple[Vectors, Vectors | None]]
FeaturesOfTurned = Callable[[str | Path, Sequence[str], float], FeatureMaps]  # images.h5, image_ids, degrees

_READ = 32  # images whose features are in memory at once
_BLOCK, _BLOCK_ON_GPU = 4, 64  # pictures on each side of a product; on a CPU it stays in the cache


def grid_patches(features: str | Path, image_ids: Sequence[str], seed: int, key: tuple[str, ...]) -> Vectors:
    """PatchCore's patches, averaged to at most 14 x 14 positions and projected to at most 512 dimensions.

    Args:
        features: of real images, by all layers of an extractor.

    Returns:
        float32 ``[N, P, D]`` of the images asked for, in that order.

    Raises:
        UserError: an image without features.
    """
    with h5py.File(features) as file:
        layers = json.loads(file.attrs["extractor"])["layers"]
    row = {name: place for place, name in enumerate(read_image_ids(features))}
    missing = [name for name in image_ids if name not in row]
    if missing:
        raise UserError(f"{features}: expected features of image {missing[0]}, found no such image_id.")
    parts = []
    for start in range(0, max(1, len(image_ids)), _READ):
        rows = [row[name] for name in image_ids[start : start + _READ]]
        parts.append(_on_grid(read_features(features, layers, rows), seed, key))
    return np.concatenate(parts)


def turned_patches(
    turned: FeaturesOfTurned, images: str | Path, image_ids: Sequence[str], seed: int, key: tuple[str, ...]
) -> Iterator[Vectors]:
    """``grid_patches`` of the same images at each of ``TURNS``, one after the other, as all need much memory."""
    blocks = [image_ids[start : start + _READ] for start in range(0, len(image_ids), _READ)]
    for degrees in TURNS if blocks else ():
        yield np.concatenate([_on_grid(turned(images, block, degrees), seed, key) for block in blocks])


def _on_grid(features: FeatureMaps, seed: int, key: tuple[str, ...]) -> Vectors:
    maps = embed_patches(features)
    count, height, width, channels = maps.shape
    down, across = _averages(height), _averages(width)
    coarse = np.einsum("hi,niwc->nhwc", down, np.einsum("wj,nijc->niwc", across, maps, optimize=True), optimize=True)
    flat = coarse.reshape(-1, channels)
    # one matrix for every part and call, so that all lie in one space
    short = random_projection(flat, DIMENSIONS, numpy_generator(seed, *key, "unlabelled"))
    return short.reshape(count, len(down) * len(across), short.shape[1])


def _averages(side: int) -> Vectors:
    """The matrix ``[min(side, 14), side]`` of means over neighbouring positions, as adaptive average pooling has it."""
    target = min(side, GRID)
    matrix = np.zeros((target, side), np.float32)
    for place in range(target):
        start, end = place * side // target, -(-(place + 1) * side // target)
        matrix[place, start:end] = 1 / (end - start)
    return matrix


def nearest_by_image(patches: Vectors, others: Vectors | None = None, device: str = "cpu") -> Vectors:
    """Euclidean distance of every patch to the nearest one of each other picture.

    Args:
        patches: ``[N, P, D]``.
        others: ``[M, Q, D]``; None compares the pictures among themselves, in half the products.

    Returns:
        float32 ``[N, P, M]``; the distance to a picture's own patches is among them, and about 0.
    """
    symmetric, others = others is None, patches if others is None else others
    found = np.empty((len(patches), patches.shape[1], len(others)), np.float32)
    if not found.size:
        return found
    # |q - m|^2 = (q, 1, |q|^2) . (-2 m, |m|^2, 1): one product; centred vectors keep the cancellation small
    centre = others.mean(axis=(0, 1))
    queries, bank = patches - centre, others - centre
    squares, norms = np.square(queries).sum(axis=2), np.square(bank).sum(axis=2)
    queries = np.concatenate([queries, np.ones_like(squares)[..., None], squares[..., None]], axis=2)
    bank = np.concatenate([-2 * bank, norms[..., None], np.ones_like(norms)[..., None]], axis=2)
    minima, size = (_minima, _BLOCK) if device == "cpu" else (_minima_with_torch(device), _BLOCK_ON_GPU)
    for start in range(0, len(queries), size):
        for begin in range(start if symmetric else 0, len(bank), size):
            here, there = slice(start, start + size), slice(begin, begin + size)
            found[here, :, there], back = minima(queries[here], bank[there], symmetric)
            if symmetric:
                found[there, :, here] = back
    return np.sqrt(np.maximum(found, 0, out=found), out=found)


def _minima(queries: Vectors, bank: Vectors, both: bool) -> tuple[Vectors, Vectors | None]:
    """Least squared distances of n pictures' patches to each of m others, ``[n, P, m]``, and the other way round."""
    products = np.dot(bank.reshape(-1, bank.shape[-1]), queries.reshape(-1, queries.shape[-1]).T)
    products = products.reshape(*bank.shape[:2], *queries.shape[:2])
    return products.min(axis=1).transpose(1, 2, 0), products.min(axis=3) if both else None


def nearest_at_any_turn(
    as_they_lie: Vectors, patches: Vectors, copies: Iterable[Vectors], device: str = "cpu"
) -> Vectors:
    """The least of distances to other pictures as they lie, and to turned copies of them.

    Args:
        as_they_lie: ``[N, P, M]``, see ``nearest_by_image``.
        patches: ``[N, P, D]``.
        copies: patches of the M pictures, ``[M, Q, D]``, at each turn.
    """
    nearest = as_they_lie.copy()
    for others in copies:
        np.minimum(nearest, nearest_by_image(patches, others, device), out=nearest)
    return nearest


def _minima_with_torch(device: str) -> Minima:
    """The same on a GPU."""
    import torch

    def minima(queries: Vectors, bank: Vectors, both: bool) -> tuple[Vectors, Vectors | None]:
        near, far = (torch.from_numpy(part).to(device) for part in (queries, bank))
        products = (far.flatten(0, 1) @ near.flatten(0, 1).T).reshape(*far.shape[:2], *near.shape[:2])
        forth = products.amin(dim=1).permute(1, 2, 0).cpu().numpy()
        return forth, products.amin(dim=3).cpu().numpy() if both else None

    return minima


def distance_between(patches: Vectors, device: str = "cpu") -> float:
    """How far two pictures usually are from each other: NaN of one alone.

    A patch has the median of its distances to the other pictures, a picture the mean of its patches, and the pile the
    median of its pictures. So much nearer or farther photographs are to the shots tells whether they show one product.

    Args:
        patches: ``[N, P, D]``.
    """
    between = nearest_by_image(patches, None, device)
    if len(between) < 2:
        return float("nan")
    usual = [np.median(np.delete(one, row, axis=1), axis=1).mean() for row, one in enumerate(between)]
    return float(np.median(usual))
