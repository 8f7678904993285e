"""From patch distances to an anomaly map at an image's own resolution.

Enlarging, smoothing and resizing are all linear and separable, so that together they are one small matrix for the rows
and one for the columns, made once for each size."""

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Axis = tuple[int, int, int, int, float]  # arguments of ``_axis``


class MapSize(NamedTuple):
    """An image's own size, and how the extractor prepared it: side in pixels, and side of the centre crop or None.

    ``sigma`` is of the Gaussian, in pixels of the image that the detector sees; 0 smooths nothing.
    """

    height: int
    width: int
    resolution: int
    crop: int | None = None
    sigma: float = 0.0


def full_size_map(patch_map: NDArray[np.float32], size: MapSize, device: str = "cpu") -> NDArray[np.float32]:
    """Bilinear to the detector's resolution, Gaussian, bilinear to the image: ``[h, w]`` to ``[height, width]``.

    Where the extractor cropped, the border that it never saw takes the value of the nearest pixel that it saw.
    """
    of_rows, of_columns = _axes(patch_map.shape, size)
    if device != "cpu":
        return _full_size_map_on_gpu(patch_map, of_rows, of_columns, device)
    return (_axis(*of_rows) @ patch_map @ _axis(*of_columns).T).astype(np.float32)


def full_size_matrices(shape: tuple[int, ...], size: MapSize) -> tuple[Matrix, Matrix]:
    """What ``full_size_map`` multiplies a map ``[h, w]`` with: ``[height, h]``, and ``[width, w]`` to be transposed."""
    of_rows, of_columns = _axes(shape, size)
    return _axis(*of_rows), _axis(*of_columns)


def _axes(shape: tuple[int, ...], size: MapSize) -> tuple[Axis, Axis]:
    seen = size.crop or size.resolution
    of_rows = (shape[0], seen, size.resolution, size.height, size.sigma)
    return of_rows, (shape[1], seen, size.resolution, size.width, size.sigma)


def _full_size_map_on_gpu(
    patch_map: NDArray[np.float32], of_rows: Axis, of_columns: Axis, device: str
) -> NDArray[np.float32]:
    import torch

    rows, columns = (_axis_on_gpu(axis, device) for axis in (of_rows, of_columns))
    values = torch.from_numpy(patch_map).to(device).double()
    return (rows @ values @ columns.T).float().cpu().numpy()


@functools.lru_cache(maxsize=64)
def _axis_on_gpu(axis: Axis, device: str) -> Any:
    import torch

    return torch.from_numpy(_axis(*axis)).to(device)


@functools.lru_cache(maxsize=64)
def _axis(patches: int, seen: int, resolution: int, target: int, sigma: float) -> Matrix:
    smooth = bilinear_matrix(patches, seen)
    if sigma:
        smooth = gaussian_matrix(seen, sigma) @ smooth
    before = (resolution - seen) // 2
    framed = np.pad(smooth, ((before, resolution - seen - before), (0, 0)), mode="edge")
    return bilinear_matrix(resolution, target) @ framed


def bilinear_matrix(source: int, target: int) -> Matrix:
    """Linear interpolation of ``source`` samples at the centres of ``target`` pixels, ``[target, source]``."""
    return interpolation_matrix((np.arange(target) + 0.5) * source / target - 0.5, source)


def interpolation_matrix(places: NDArray[np.float64], source: int) -> Matrix:
    """Linear interpolation at ``places`` of ``source`` samples, ``[places, source]``; the end ones hold outside."""
    places = np.clip(places, 0, source - 1)
    left = np.floor(places).astype(int)
    rows, weight, matrix = np.arange(len(places)), places - left, np.zeros((len(places), source))
    matrix[rows, left] = 1 - weight
    matrix[rows, np.minimum(left + 1, source - 1)] += weight
    return matrix


def gaussian_matrix(size: int, sigma: float) -> Matrix:
    """Gaussian smoothing of ``size`` samples, cut at four sigma, edges reflected, ``[size, size]``."""
    radius = min(int(np.ceil(4 * sigma)), size - 1)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    columns = np.abs(np.arange(size)[:, None] + offsets)
    columns = np.where(columns > size - 1, 2 * (size - 1) - columns, columns)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], columns), kernel)
    return matrix
