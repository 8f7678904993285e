"""Every image of a category's support sets as the noise that a diffusion model makes it from, computed once.

Sources, runs and detectors share the file. What the model makes of the noise again, unedited, is kept too: it is the
normal image that anomalies of this model are compared with, so that the model's own traces cannot be what is
detected."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from variad.anomalies.ddim import generate, invert
from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import Images, resize_square
from variad.core.shortages import new_hdf5
from variad.networks.diffusion_models import DiffusionModel
from variad.networks.features import are_grey, to_tensor, to_uint8

BATCH_SIZE = 16  # on one core more bring nothing


@dataclass(frozen=True)
class Inversions:
    """Noise of N images.

    Attributes:
        image_ids: of the images.
        noise: ``x_T``, float ``[N, 3, R, R]``.
        regenerated: what DDIM makes of it without an edit, uint8 ``[N, R, R, 3]``; grey where the image is grey.
        steps: DDIM steps of both ways.
    """

    image_ids: list[str]
    noise: Tensor
    regenerated: Images
    steps: int

    def rows(self, image_ids: Sequence[str]) -> list[int]:
        """Where images are.

        Raises:
            UserError: one is not in the file.
        """
        row = {name: place for place, name in enumerate(self.image_ids)}
        missing = [name for name in image_ids if name not in row]
        if missing:
            raise UserError(f"inversions: expected image {missing[0]}, found no such image_id.")
        return [row[name] for name in image_ids]

    def noise_of(self, image_ids: Sequence[str]) -> Tensor:
        """``x_T`` of images, float32 ``[n, 3, R, R]``."""
        return self.noise[self.rows(image_ids)].float()

    def regenerated_of(self, image_ids: Sequence[str]) -> Images:
        """Regenerated images, uint8 ``[n, R, R, 3]``."""
        return self.regenerated[self.rows(image_ids)]

    def grey(self, image_ids: Sequence[str]) -> Tensor:
        """Which images are grey, bool ``[n]``."""
        return grey_ones(self.regenerated_of(image_ids))


def compute_inversions(
    model: DiffusionModel, image_ids: list[str], images: Images, steps: int, batch_size: int = BATCH_SIZE
) -> Inversions:
    """Invert and regenerate images.

    Args:
        images: uint8 ``[N, S, S, 3]``; brought to the model's resolution.

    Raises:
        UserError: ``steps`` does not fit the model.
    """
    # half precision costs the round trip nothing (docs/methods.md) and halves the file
    given = to_tensor(resize_all(images, model.resolution)) * 2 - 1
    noise = invert(model, given, steps, batch_size).half()
    again = generate(model, noise.float(), steps, batch_size=batch_size)
    return Inversions(image_ids, noise, from_model(again, grey_ones(images)), steps)


def write_inversions(path: str | Path, inversions: Inversions) -> None:
    """Write ``/image_id``, ``/x_T`` float16, ``/regenerated`` and the attribute ``steps``."""
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.attrs["steps"] = inversions.steps
        file.create_dataset("image_id", data=inversions.image_ids, dtype=h5py.string_dtype())
        file["x_T"] = inversions.noise.numpy().astype(np.float16)
        file["regenerated"] = inversions.regenerated


def read_inversions(path: str | Path) -> Inversions:
    """Read a file of ``write_inversions``."""
    with h5py.File(path) as file:
        names = [str(name) for name in file["image_id"].asstr()[:]]
        return Inversions(names, torch.from_numpy(file["x_T"][:]), file["regenerated"][:], int(file.attrs["steps"]))


def from_model(images: Tensor, grey: Tensor) -> Images:
    """``[N, 3, R, R]`` in [-1, 1] to uint8 ``[N, R, R, 3]``.

    Args:
        grey: which of them have a grey parent; these become grey, for a grey camera takes no coloured pictures.
    """
    mean = images.mean(dim=1, keepdim=True).expand_as(images)
    return to_uint8((torch.where(grey.view(-1, 1, 1, 1), mean, images) + 1) / 2)


def resize_all(images: Images, side: int) -> Images:
    """uint8 ``[N, h, h, 3]`` to ``[N, side, side, 3]``, bicubic."""
    if not len(images):
        return np.empty((0, side, side, 3), np.uint8)
    return np.stack([resize_square(image, side) for image in images])


def grey_ones(images: Images) -> Tensor:
    """Which of uint8 ``[N, h, h, 3]`` have equal channels; bool ``[N]``."""
    return are_grey(to_tensor(images))
