"""Fitting a codebook to latents: k-means to begin with, then moving averages; codes that die are restarted."""

import torch
from torch import Tensor

from variad.models.vqgan import nearest_codes


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
