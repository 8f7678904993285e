"""Augmentation strategies: the first document's (tables 17, 18) and ours; how far an image is from what it was made of.

Every strategy takes images ``[B, 3, H, W]`` in [0, 1] and one generator an image, and keeps shape and range.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.images import Images
from variad.generation.added import AddedImages
from variad.generation.settings import ROTATIONS, Request, Turn
from variad.networks.features import are_grey, to_tensor, to_uint8

Generators = Sequence[torch.Generator]
Strategy = Callable[[Tensor, Generators], Tensor]

MAX_ROTATION = 2.0  # degrees [assumed]
_BATCH = 32


def augment(parents: Images, requests: Sequence[Request], name: str, turned: Sequence[Turn] = ()) -> AddedImages:
    """Change each parent ``[M, S, S, 3]`` by the classical strategy ``name``.

    Args:
        turned: of strategy ``rotations``, the turned copies of an image: the k-th request for a parent in a run is its
            k-th copy, so that nothing is drawn.

    Raises:
        UserError: there is no such strategy, or more copies of an image are asked for than there are.
    """
    if name == ROTATIONS:
        return _augment_by_turning(parents, requests, _in_turn(requests, turned))
    apply = strategy(name)
    images, distance = _in_batches(
        parents,
        range(len(parents)),
        lambda batch, rows: apply(batch, [torch.Generator().manual_seed(requests[row].seed) for row in rows]),
    )
    return AddedImages.of(images, requests, distance)


def _augment_by_turning(parents: Images, requests: Sequence[Request], wanted: Sequence[Turn]) -> AddedImages:
    """Turn each parent; a copy that several runs have is one picture."""
    rows: dict[tuple[str, Turn], int] = {}  # the first request for each picture
    for row, (request, one) in enumerate(zip(requests, wanted, strict=True)):
        rows.setdefault((request.parent, one), row)
    place = {key: number for number, key in enumerate(rows)}
    picture = np.array([place[request.parent, one] for request, one in zip(requests, wanted, strict=True)], np.int64)
    images, distance = _in_batches(
        parents, list(rows.values()), lambda batch, some: turn(batch, [wanted[row] for row in some])
    )
    added = AddedImages.of(images, requests, distance[picture])
    return added if len(rows) == len(requests) else replace(added, picture=picture)


def _in_batches(
    parents: Images, rows: Sequence[int], change: Callable[[Tensor, Sequence[int]], Tensor]
) -> tuple[Images, NDArray[np.float32]]:
    """Some of the parents, changed, and how far each is from its parent."""
    images, distances = [], []
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        batch = to_tensor(parents[np.asarray(some)])
        changed = change(batch, some)
        images.append(to_uint8(changed))
        distances.append(distance_to_view(changed, batch).numpy())
    return np.concatenate(images), np.concatenate(distances)


def _in_turn(requests: Sequence[Request], turned: Sequence[Turn]) -> list[Turn]:
    """The turn of every request: the first, second and on of those for its parent."""
    before = Counter[tuple[int, str]]()
    places = []
    for request in requests:
        places.append(before[request.run, request.parent])
        before[request.run, request.parent] += 1
    if max(places, default=-1) >= len(turned):
        raise UserError(f"rotations: expected at most {len(turned)} copies of an image, found {max(places) + 1}.")
    return [turned[place] for place in places]


def turn(images: Tensor, wanted: Sequence[Turn]) -> Tensor:
    """Each of ``[B, 3, H, W]`` in [0, 1], mirrored (left to right) or not, turned anticlockwise around its centre.

    Bicubic; the border is continued into the corners, which on turned bricks serves better than mirroring it.
    """
    theta = torch.tensor([_turn_matrix(one) for one in wanted], dtype=images.dtype, device=images.device)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)


def _turn_matrix(wanted: Turn) -> list[list[float]]:
    """Where each place of the result is in the image, in units of half its side, x to the right and y down."""
    angle, sign = math.radians(wanted.degrees), -1.0 if wanted.mirrored else 1.0
    cosine, sine = math.cos(angle), math.sin(angle)
    return [[sign * cosine, -sign * sine, 0.0], [sine, cosine, 0.0]]


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UserError: there is none.
    """
    if name in _OWN:
        return _OWN[name]
    if name in _TORCHVISION:
        return lambda images, generators: _with_torchvision(name, images, generators)
    raise UserError(f"strategy: expected one of {', '.join([*_OWN, *_TORCHVISION])}, found {name!r}.")


def geometric(images: Tensor, generators: Generators) -> Tensor:
    """Random flips and a rotation within two degrees, ``[B, 3, H, W]`` in [0, 1].

    Bicubic, since blur costs more than any variation brings; each image draws from its own generator.
    """
    theta = torch.stack([_flip_and_turn(generator) for generator in generators]).to(images)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return moved.clamp(0, 1)


def _flip_and_turn(generator: torch.Generator) -> Tensor:
    draws = torch.rand(3, generator=generator)
    angle = math.radians(MAX_ROTATION) * (2 * float(draws[0]) - 1)
    flip_x, flip_y = (1.0 if float(draw) < 0.5 else -1.0 for draw in draws[1:])
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor([[flip_x * cosine, -flip_x * sine, 0.0], [flip_y * sine, flip_y * cosine, 0.0]])


def _noise(images: Tensor, generators: Generators) -> Tensor:
    """Geometric view and pixel noise of standard deviation .02 to .05, without colour on grey images [ours]."""
    images = geometric(images, generators)
    noisy = []
    for image, grey, generator in zip(images, are_grey(images), generators, strict=True):
        sigma = 0.02 + 0.03 * torch.rand((), generator=generator)
        noise = torch.randn(image[: 1 if grey else 3].shape, generator=generator)
        noisy.append(image + sigma.to(image) * noise.to(image))
    return torch.stack(noisy).clamp(0, 1)


def _sharpen(images: Tensor, generators: Generators) -> Tensor:
    """Geometric view and an unsharp mask of amount 0.5 to 2 over 3 x 3 pixels [ours]."""
    images = geometric(images, generators)
    kernel = torch.ones(3, 1, 3, 3, device=images.device, dtype=images.dtype) / 9
    smooth = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    amount = torch.stack([0.5 + 1.5 * torch.rand((), generator=generator) for generator in generators])
    return (images + amount.to(images)[:, None, None, None] * (images - smooth)).clamp(0, 1)


_OWN: dict[str, Strategy] = {
    "none": lambda images, _: images,
    "geometric": geometric,
    "noise": _noise,
    "sharpen": _sharpen,
}
_TORCHVISION = ("strategy1", "strategy2", "autoaugment", "randaugment", "mixed")


def _with_torchvision(name: str, images: Tensor, generators: Generators) -> Tensor:
    transform = _torchvision_transform(name, images.shape[-1])
    changed = []
    for image, generator in zip(images, generators, strict=True):
        # torchvision draws from the global generator only
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            changed.append(transform((image * 255).round().to(torch.uint8)).to(images) / 255)
    return torch.stack(changed)


def _torchvision_transform(name: str, size: int) -> Any:
    # six seconds to import, so only for those who use it
    from torchvision.transforms import v2

    crop = v2.Compose([v2.RandomCrop(round(0.875 * size)), v2.Resize((size, size), antialias=True)])
    jitter = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)
    rotation = v2.RandomRotation(10, interpolation=v2.InterpolationMode.BILINEAR)
    transforms = {
        "strategy1": v2.Compose([crop, jitter]),
        "strategy2": v2.Compose([rotation, v2.RandomAutocontrast(p=0.5)]),
        "autoaugment": v2.AutoAugment(),
        "randaugment": v2.RandAugment(),
        "mixed": v2.RandomChoice(
            [
                v2.GaussianBlur(3, sigma=(0.1, 1.0)),
                _median,
                rotation,
                v2.RandomAdjustSharpness(2, p=1.0),
                v2.RandomAutocontrast(p=1.0),
                jitter,
            ]
        ),
    }
    return transforms[name]


def _median(image: Tensor) -> Tensor:
    """Noise reduction: the median of 3 x 3 pixels."""
    padded = functional.pad(image[None].float(), (1, 1, 1, 1), mode="reflect")[0]
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    return windows.median(dim=3).values.to(image.dtype)


def distance_to_view(images: Tensor, views: Tensor) -> Tensor:
    """Root mean square pixel difference, ``[B]``, of images ``[B, 3, H, W]`` in [0, 1]."""
    return (images - views).square().mean(dim=(1, 2, 3)).sqrt()


def accepted(
    similarity_gain: NDArray[np.float32],
    distance: NDArray[np.float32],
    min_similarity_gain: float | None,
    max_distance: float | None,
) -> NDArray[np.bool_]:
    """Which images pass both limits; a limit of None lets everything pass [assumed].

    Args:
        similarity_gain: cosine with the prompt after the last step less that before the first; NaN if not guided,
            which passes.
        distance: see ``distance_to_view``.
    """
    passes = np.ones(len(distance), bool)
    if min_similarity_gain is not None:
        passes &= ~(similarity_gain < min_similarity_gain)
    if max_distance is not None:
        passes &= distance <= max_distance
    return passes
