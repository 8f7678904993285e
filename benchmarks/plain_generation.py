"""The peer of ``generation.py``: text guidance as the usual VQGAN-CLIP loops write it, one image at a time.

Float32, taming's own quantiser and activation, timm's classifier, one encoder call a cutout. It uses the same weights,
start, text, steps and cutouts as the engine, so that in equal precision both give the same images.
"""

from collections.abc import Callable

import torch
from taming.modules.diffusionmodules import model as taming_model
from torch import Tensor
from torch.nn import functional

from variad.generation.guidance import Guide, draw_windows
from variad.generation.settings import GenerationSettings
from variad.networks import efficientnet_lite0 as lite0
from variad.networks.vqgan import VQGAN


def use_tamings_activation() -> None:
    """Undo what ``variad.networks.vqgan`` replaced in taming-transformers, for this process."""
    taming_model.nonlinearity = lambda x: x * torch.sigmoid(x)


def timm_lite0(device: str) -> Callable[[Tensor], Tensor]:
    """ImageNet logits of images in [0, 1] by timm's EfficientNet-Lite0, with the weights that the engine uses."""
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    packaged = torch.load(lite0.packaged_weights(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    network.eval().requires_grad_(False).to(device)
    return lambda images: network((images - lite0.MEAN) / lite0.STD)


def guide_one(
    start: Tensor, by: Guide, vqgan: VQGAN, settings: GenerationSettings, generator: torch.Generator
) -> Tensor:
    """The decoded image ``[1, 3, H, W]`` in [0, 1] after the last step, from a latent ``[1, C, h, w]``."""
    latent = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([latent], lr=settings.learning_rate)
    windows = draw_windows(settings.cutouts, settings.iterations + 1, [generator])[:, 0].to(latent)
    low = vqgan.codebook.min(dim=0).values[None, :, None, None]
    high = vqgan.codebook.max(dim=0).values[None, :, None, None]
    for step in range(settings.iterations):
        image = _decode(vqgan, latent)
        distances = []
        for window in windows[step]:
            grid = functional.affine_grid(window[None], [1, 3, by.encoder.resolution, by.encoder.resolution], False)
            crop = functional.grid_sample(image, grid, "bilinear", "border", False)
            chord = (by.encoder.encode_image(crop) - by.texts).norm(dim=-1)
            distances.append(2 * (chord / 2).arcsin() ** 2)
        pull = functional.mse_loss(latent, start)
        loss = settings.guidance * torch.stack(distances).mean() + settings.anchor * pull
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            latent.copy_(latent.clamp(low, high))
    with torch.no_grad():
        return _decode(vqgan, latent)


def _decode(vqgan: VQGAN, latent: Tensor) -> Tensor:
    return vqgan.decode(vqgan.quantize(latent)[0]).add(1).div(2).clamp(0, 1)
