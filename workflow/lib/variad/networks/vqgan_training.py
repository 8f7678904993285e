"""Training a small VQGAN on openly licensed images.

There is no discriminator and no perceptual network, so the weights owe nothing to a network that a detector may use.
k-means puts the codes among the latents, moving averages follow them, and codes that die are restarted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from variad.core.precision import autocast
from variad.core.seeding import torch_generator, torch_seed
from variad.networks.training import Trainer, TrainingCrops, TrainingSettings
from variad.networks.vqgan import VQGAN, VQGANConfig, nearest_codes

CODES = "quantize.embedding.weight"
SMALL = VQGANConfig(
    embed_dim=8,
    n_embed=768,
    z_channels=8,
    ch=32,
    ch_mult=(1, 1, 2),
    num_res_blocks=1,
    attn_resolutions=(),
    resolution=96,
    norm_groups=0,
    mid_attention=False,
)


@dataclass(frozen=True)
class VqganTraining(TrainingSettings):
    """Settings of one training; the defaults made the weights that ship.

    Attributes:
        crop: side of a crop in pixels, divisible by the network's factor.
        unquantised: first steps without codebook; after them k-means puts the codes among the latents.
        noise, power: in these steps noise that grows to this standard deviation is added to the latent, and ``power``
            times its mean square to the loss. Each channel then grows as far as the reconstruction needs it, so that
            Euclidean distance in the latent, which is all that the codebook sees, means something. Noise of full
            strength from the first step would drown colour before it is worth anything.
        decay: of the codebook's moving averages.
        colour_gain: the first layer's initial response to colour, over its response to brightness. Most of the images'
            variance is brightness; at 1 no colour reaches the codebook before the network has learned to do without.
    """

    steps: int = 5000
    batch: int = 8
    every: int = 250
    crop: int = 96
    unquantised: int = 400
    noise: float = 0.25
    power: float = 0.01
    decay: float = 0.97
    colour_gain: float = 16.0


def train_vqgan(path: str | Path, config: VQGANConfig = SMALL, settings: VqganTraining | None = None) -> None:
    """Train a VQGAN and write its weights to ``path``; see ``Trainer.run``."""
    settings = settings or VqganTraining()
    VqganTrainer(config, settings).run(path, TrainingCrops(settings, settings.crop), "train_vqgan")


class VqganTrainer(Trainer):
    """The state of a training, with the codebook's statistics."""

    settings: VqganTraining

    def __init__(self, config: VQGANConfig, settings: VqganTraining) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(settings.seed, "vqgan", "weights"))
            model = VQGAN(config)
        _heed_colour(model.encoder.conv_in.weight, settings.colour_gain)
        model.quantize.requires_grad_(False)  # moving averages, not gradients, move the codes
        model.to(memory_format=torch.channels_last)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(trained, settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
        super().__init__(model, config, settings, optimiser)
        self.codebook = MovingCodebook(model.codebook.data, settings.decay)

    def before(self, step: int, crops: TrainingCrops) -> None:
        """Start the codebook when its time has come."""
        if step == self.settings.unquantised:
            self.start_codebook([crops.batch(self.settings.batch, -1 - place) for place in range(16)])

    def start_codebook(self, batches: list[Tensor]) -> None:
        """Put the codes at the k-means centres of the latents of ``batches``."""
        with torch.no_grad(), autocast("bfloat16", "cpu"):
            latents = [_rows(self.model.encode(images).float()) for images in batches]
        self.codebook.start(torch.cat(latents), torch_generator(self.settings.seed, "vqgan", "k-means"))
        self.average[CODES].copy_(self.codebook.codes)

    def step(self, images: Tensor) -> dict[str, float]:
        """One optimiser step on images in [-1, 1]; returns its loss, the latent's penalty and PSNR (decibels)."""
        images = images.to(memory_format=torch.channels_last)
        with autocast("bfloat16", "cpu"):
            latent = self.model.encode(images)
        latent = latent.float()
        quantised = self.next_step >= self.settings.unquantised
        entry, penalty = self._quantised(latent) if quantised else self._noisy(latent)
        with autocast("bfloat16", "cpu"):
            found = self.model.decode(entry)
        reconstruction = reconstruction_loss(found.float(), images)
        self.descend(reconstruction + penalty)
        if quantised:
            self._move_codes(_rows(latent.detach()))
        self.finish_step()
        error = functional.mse_loss(found.detach().float(), images).item()
        return {"loss": reconstruction.item(), "penalty": penalty.item(), "psnr": 10 * math.log10(4 / error)}

    def _quantised(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of a latent, and the penalty for being far from them."""
        codes = self.model.quantise(latent)[0]
        return codes, 0.5 * functional.mse_loss(latent, codes.detach())

    def _noisy(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """A latent with noise, and the penalty for its power."""
        generator = torch_generator(self.settings.seed, "vqgan", "noise", self.next_step)
        scale = self.settings.noise * self.next_step / self.settings.unquantised
        noise = scale * torch.randn(latent.shape, generator=generator)
        return latent + noise, self.settings.power * latent.square().mean()

    def _move_codes(self, latents: Tensor) -> None:
        self.codebook.update(latents)
        step = self.next_step
        # Near the end the codes have to settle.
        if step % 20 == 0 and step < 0.85 * self.settings.steps:
            least = 0.03 * len(latents) / len(self.codebook.codes)
            dead = self.codebook.restart(latents, torch_generator(self.settings.seed, "vqgan", "restart", step), least)
            self.average[CODES][dead] = self.codebook.codes[dead]

    def state(self) -> dict[str, Any]:
        """All that a killed training needs to go on."""
        return {**super().state(), "counts": self.codebook.counts, "sums": self.codebook.sums}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        super().resume(state)
        self.codebook.counts, self.codebook.sums = state["counts"], state["sums"]


@torch.no_grad()
def _heed_colour(kernel: Tensor, gain: float) -> None:
    """Multiply a first layer's ``[C, 3, h, w]`` response to differences between the channels."""
    grey = kernel.mean(dim=1, keepdim=True)
    kernel.copy_(grey + gain * (kernel - grey))


def _rows(latent: Tensor) -> Tensor:
    """``[B, C, h, w]`` to ``[B * h * w, C]``."""
    return latent.permute(0, 2, 3, 1).reshape(-1, latent.shape[1])


class MovingCodebook:
    """Codes as the moving average of the latents that select them.

    Source: van den Oord et al., Neural Discrete Representation Learning (2017), appendix A.1; restarts as in Dhariwal
    et al., Jukebox (2020), section 3.
    """

    def __init__(self, codes: Tensor, decay: float) -> None:
        self.codes = codes
        self.decay = decay
        self.counts = torch.ones(len(codes))
        self.sums = codes.detach().clone()

    @torch.no_grad()
    def start(self, latents: Tensor, generator: torch.Generator, rounds: int = 15) -> None:
        """Put the codes at the k-means centres of ``latents`` ``[N, C]``."""
        picks = torch.randint(len(latents), (len(self.codes),), generator=generator)
        self.codes.copy_(latents[picks])
        for _ in range(rounds):
            counts, sums = self._assigned(latents)
            self.codes[counts > 0] = sums[counts > 0] / counts[counts > 0, None]
        self.counts.fill_(len(latents) / len(self.codes))
        self.sums.copy_(self.codes * self.counts[:, None])

    @torch.no_grad()
    def update(self, latents: Tensor) -> None:
        """Move the codes towards the means of the latents ``[N, C]`` that select them."""
        counts, sums = self._assigned(latents)
        self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        alive = self.counts > 1e-3
        self.codes[alive] = self.sums[alive] / self.counts[alive, None]

    @torch.no_grad()
    def restart(self, latents: Tensor, generator: torch.Generator, least: float) -> Tensor:
        """Put codes that fewer than ``least`` latents a step select on random latents; returns their indices."""
        dead = torch.nonzero(self.counts < least).flatten()
        picks = torch.randint(len(latents), (len(dead),), generator=generator)
        self.codes[dead] = latents[picks]
        # As if selected often enough to survive until the next restart.
        self.counts[dead] = self.counts.mean()
        self.sums[dead] = self.codes[dead] * self.counts[dead, None]
        return dead

    def _assigned(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        indices = nearest_codes(latents[:, :, None, None], self.codes).flatten()
        counts = torch.bincount(indices, minlength=len(self.codes)).to(latents.dtype)
        return counts, torch.zeros_like(self.codes).index_add_(0, indices, latents)


def reconstruction_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """2 * absolute error of brightness + 6 * of colour + 0.5 * of gradients at three scales + 0.2 * (1 - SSIM).

    Args:
        found, wanted: images ``[B, C, H, W]`` in [-1, 1].

    Returns:
        A scalar, 0 for equal images.
    """
    error = found - wanted
    brightness = error.mean(dim=1, keepdim=True)
    # Most images differ little in colour, so that its error needs more weight to be heard.
    loss = 2 * brightness.abs().mean() + 6 * (error - brightness).abs().mean()
    loss = loss + 0.2 * (1 - structural_similarity(found, wanted))
    for scale in range(3):
        coarse = functional.avg_pool2d(error, 2**scale) if scale else error
        loss = loss + 0.5 / 3 * (coarse.diff(dim=2).abs().mean() + coarse.diff(dim=3).abs().mean())
    return loss


def structural_similarity(first: Tensor, second: Tensor, window: int = 7) -> Tensor:
    """Mean structural similarity of images in [-1, 1], over uniform windows at every second pixel.

    Source: Wang et al., Image quality assessment (2004), equation 13, with K1 = 0.01, K2 = 0.03 and a range of 2.
    """

    def smooth(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, window, stride=2)

    means = smooth(first), smooth(second)
    spreads = smooth(first * first) - means[0] ** 2, smooth(second * second) - means[1] ** 2
    joint = smooth(first * second) - means[0] * means[1]
    light = (2 * means[0] * means[1] + 4e-4) / (means[0] ** 2 + means[1] ** 2 + 4e-4)
    return (light * (2 * joint + 3.6e-3) / (spreads[0] + spreads[1] + 3.6e-3)).mean()
