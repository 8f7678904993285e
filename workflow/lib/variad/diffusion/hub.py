"""Diffusion models in the layout of diffusers: the folder of a pipeline or network, or the name of one on the hub."""

import json

from diffusers import DDPMScheduler
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from variad.diffusion.schedule import linear_alphas_cumprod
from variad.errors import UserError

# What diffusers raises where a folder or a repository lacks a file, or holds another one than it expects.
ABSENT = (OSError, ValueError, KeyError, json.JSONDecodeError)


def load_pretrained(name: str) -> tuple[UNet2DModel, Tensor]:
    """The network and its schedule's cumulative products, float64 ``[T]``.

    Args:
        name: a folder, or a name on the hub. The network is in its subfolder ``unet`` or in itself, the schedule in
            ``scheduler`` or in itself; where there is none, it is that of the DDPM paper.

    Raises:
        UserError: there is no such model, it predicts something else than noise, or it is no unconditional image model.
    """
    unet = _network(name)
    if unet.config.in_channels != 3 or unet.config.num_class_embeds or unet.config.class_embed_type:
        raise UserError(f"{name}: expected an unconditional diffusion model of RGB images, found another.")
    return unet, _alphas_cumprod(name)


def _network(name: str) -> UNet2DModel:
    for folder in ("unet", None):
        try:
            config = UNet2DModel.load_config(name, subfolder=folder)
        except ABSENT:
            continue
        if config.get("_class_name") != UNet2DModel.__name__:
            continue
        try:
            return UNet2DModel.from_pretrained(name, subfolder=folder, low_cpu_mem_usage=False)
        except (*ABSENT, RuntimeError) as error:
            raise UserError(f"{name}: expected the weights of a diffusion model, found: {_line(error)}.") from error
    raise UserError(f"{name}: expected a folder or a hub's name of a UNet2DModel, found none.")


def _alphas_cumprod(name: str) -> Tensor:
    for folder in ("scheduler", None):
        try:
            scheduler = DDPMScheduler.from_pretrained(name, subfolder=folder)
        except ABSENT:
            continue
        if scheduler.config.prediction_type != "epsilon":
            found = scheduler.config.prediction_type
            raise UserError(f"{name}: expected a diffusion model that predicts epsilon, found {found}.")
        return scheduler.alphas_cumprod.double()
    return linear_alphas_cumprod()


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
