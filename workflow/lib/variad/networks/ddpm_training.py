"""Training a small diffusion model on openly licensed images: predict the noise that was added to a crop."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from variad.core.precision import autocast
from variad.core.seeding import torch_generator, torch_seed
from variad.networks.diffusion_models import SmallUNetConfig, add_noise, build_small_unet, linear_alphas_cumprod
from variad.networks.training import Trainer, TrainingCrops, TrainingSettings


@dataclass(frozen=True)
class DdpmTraining(TrainingSettings):
    """Settings of one training; the defaults made the weights that ship. A crop has the network's resolution."""

    steps: int = 3000
    batch: int = 16


class DdpmTrainer(Trainer):
    """The state of a training; images have the network's resolution."""

    def __init__(self, config: SmallUNetConfig, settings: DdpmTraining) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(settings.seed, "ddpm", "weights"))
            unet = build_small_unet(config)
        unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(unet.parameters(), settings.learning_rate, weight_decay=1e-4)
        super().__init__(unet, config, settings, optimiser)
        self.alphas_cumprod = linear_alphas_cumprod()

    def step(self, images: Tensor) -> dict[str, float]:
        """One optimiser step on images in [-1, 1]; returns the mean square error of the predicted noise."""
        generator = torch_generator(self.settings.seed, "ddpm", "noise", self.next_step)
        noise = torch.randn(images.shape, generator=generator)
        times = spread_times(len(images), len(self.alphas_cumprod), generator)
        noisy = add_noise(images, noise, self.alphas_cumprod[times]).to(memory_format=torch.channels_last)
        with autocast("bfloat16", "cpu"):
            found = self.model(noisy, times).sample
        loss = functional.mse_loss(found.float(), noise)
        self.descend(loss)
        self.finish_step()
        return {"loss": loss.item()}


def spread_times(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Time steps, each uniform over ``range(steps)``, spread evenly, for a steadier loss; int64 ``[count]``."""
    share = (torch.rand(1, generator=generator) + torch.arange(count) / count) % 1
    return (share * steps).long().clamp(max=steps - 1)


def train_ddpm(path: str | Path, config: SmallUNetConfig | None = None, settings: DdpmTraining | None = None) -> None:
    """Train a diffusion model and write its weights to ``path``; see ``Trainer.run``."""
    config, settings = config or SmallUNetConfig(), settings or DdpmTraining()
    DdpmTrainer(config, settings).run(path, TrainingCrops(settings, config.resolution), "train_ddpm")
