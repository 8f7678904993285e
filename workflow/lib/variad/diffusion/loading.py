"""Diffusion models by the entries of the config section ``diffusion_models``.

diffusers takes seconds to import, so only what needs it does.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from variad.diffusion.model import DiffusionModel
from variad.diffusion.schedule import linear_alphas_cumprod
from variad.errors import UserError
from variad.models.weights import fill, load_weights

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel

Entry = Mapping[str, Any]


def load_diffusion(entry: Entry, device: str = "cpu") -> DiffusionModel:
    """The frozen model of a config entry.

    Args:
        entry: ``kind``; ``weights``, for ``small`` a safetensors file of rule train_ddpm, for ``adm`` the official
            checkpoint of the unconditional ImageNet model at 256 px, for ``diffusers`` the folder of a pipeline or
            ``UNet2DModel``, or in its place ``model``, the name of one on the hub; ``resolution`` (null is the model's
            own), ``sha256`` and ``precision``.

    Raises:
        UserError: the weights are missing, have another hash or are another network's, or the resolution does not fit.
    """
    kinds: dict[str, Callable[[Entry], DiffusionModel]] = {"small": _small, "adm": _adm, "diffusers": _diffusers}
    if entry.get("kind") not in kinds:
        raise UserError(f"diffusion_models: expected kind {', '.join(kinds)}, found {entry.get('kind')}.")
    model = kinds[entry["kind"]](entry)
    model.unet.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    return model


def _small(entry: Entry) -> DiffusionModel:
    from variad.diffusion.small_unet import SmallUNetConfig, build_small_unet

    state, stored = load_weights(_name(entry), entry.get("sha256"))
    try:
        config = SmallUNetConfig(**stored)
    except TypeError as error:
        raise UserError(f"{_name(entry)}: expected the config of train_ddpm's network, found: {error}.") from error
    unet = build_small_unet(config)
    fill(unet, state, _name(entry))
    return _model(entry, unet, linear_alphas_cumprod(), config.skip_free_levels)


def _adm(entry: Entry) -> DiffusionModel:
    from variad.diffusion.adm import load_adm

    return _model(entry, load_adm(_name(entry), entry.get("sha256")), linear_alphas_cumprod())


def _diffusers(entry: Entry) -> DiffusionModel:
    from variad.diffusion.hub import load_pretrained

    unet, alphas_cumprod = load_pretrained(_name(entry))
    return _model(entry, unet, alphas_cumprod)


def _name(entry: Entry) -> str:
    """The file, folder or hub's name of the weights."""
    name: str | None = entry.get("weights") or entry.get("model")
    if not name:
        raise UserError(f"diffusion_models: expected weights of a model of kind {entry['kind']}, found none.")
    return name


def _model(entry: Entry, unet: "UNet2DModel", alphas_cumprod: Tensor, skip_free_levels: int = 0) -> DiffusionModel:
    resolution = _resolution(entry, unet)
    return DiffusionModel(unet, alphas_cumprod, resolution, skip_free_levels, entry.get("precision") or "float32")


def _resolution(entry: Entry, unet: "UNet2DModel") -> int:
    """The wanted side in pixels, or the network's own where the entry has none."""
    factor = 2 ** (len(unet.config.block_out_channels) - 1)
    own = unet.config.sample_size
    wanted = entry.get("resolution") or (own if isinstance(own, int) else None)
    if wanted is None or wanted % factor:
        raise UserError(f"{_name(entry)}: expected a resolution that is a multiple of {factor}, found {wanted}.")
    return int(wanted)
