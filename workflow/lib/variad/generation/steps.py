"""The guided steps: a batch of latents, moved by gradient steps towards their texts.

They are those of the first document's text-guided integrator. What differs between devices lies here and in
``variad.core.precision``: a CPU takes the steps one by one, with autocast; a GPU has its weights cast once, records a
step, and replays it.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from tqdm import tqdm

from variad.core.graphs import Recording
from variad.core.precision import Arithmetic
from variad.generation.guidance import (
    Guide,
    clamp_to_codebook,
    cutouts,
    cutouts_by_products,
    decode,
    draw_windows,
    spherical_distance,
)
from variad.generation.settings import GenerationSettings
from variad.networks.encoders import CastableEncoder, ImageTextEncoder
from variad.networks.frozen_vqgan import on_device
from variad.networks.training import FusedAdam
from variad.networks.vqgan import VQGAN

log = logging.getLogger("variad")


@dataclass(frozen=True)
class Guided:
    """Latents ``[B, C, h, w]`` after the last step and their images ``[B, 3, H, W]`` in [0, 1], decoded in float32
    whatever the steps' precision; loss and similarity of every step, ``[B, iterations + 1]``.
    """

    latent: Tensor
    images: Tensor
    loss: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class GuidedBatch:
    """Where B latents start, ``[B, C, h, w]``, their texts ``[B, D]``, and which images are grey (see ``decode``)."""

    start: Tensor
    texts: Tensor
    grey: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """All that there are."""
        return [tensor for tensor in (self.start, self.texts, self.grey) if tensor is not None]

    def like(self, other: "GuidedBatch") -> bool:
        """Whether both have tensors of the same shapes."""
        return [tensor.shape for tensor in self.tensors] == [tensor.shape for tensor in other.tensors]


@dataclass(frozen=True)
class Step:
    """One look at a batch: decoded images ``[B, 3, H, W]``, loss and similarity ``[B]``."""

    images: Tensor
    loss: Tensor
    similarity: Tensor

    def detached(self) -> "Step":
        """The same without what the backward pass needs."""
        return Step(self.images.detach(), self.loss.detach(), self.similarity.detach())


@dataclass(frozen=True)
class Sight:
    """What looks at latents: a decoder and an image encoder, as a device wants them for a precision."""

    vqgan: VQGAN
    encoder: ImageTextEncoder
    arithmetic: Arithmetic

    @classmethod
    def of(cls, vqgan: VQGAN, encoder: ImageTextEncoder, arithmetic: Arithmetic, device: str | torch.device) -> Self:
        """Both networks, whose weights are cast here, once, where that is the device's way; on a CPU as they are."""
        if not arithmetic.gpu:
            return cls(vqgan, encoder, arithmetic)
        if arithmetic.weights != torch.float32 and isinstance(encoder, CastableEncoder):
            encoder = encoder.cast(arithmetic.weights)
        return cls(on_device(vqgan, arithmetic, device), encoder, arithmetic)

    def decode(self, latent: Tensor, grey: Tensor | None) -> Tensor:
        """As the function ``decode``, in the precision; the images have that of the latents."""
        with contextlib.nullcontext() if self.arithmetic.gpu else self.arithmetic.autocast(latent.device):
            return decode(self.vqgan, latent, grey).to(latent)

    def embed(self, images: Tensor, windows: Tensor) -> Tensor:
        """Unit embeddings of the images' cutouts ``[B * count, D]``, in the precision of the images."""
        gpu = self.arithmetic.gpu
        cut = cutouts_by_products if gpu else cutouts
        cast = gpu and isinstance(self.encoder, CastableEncoder)
        with contextlib.nullcontext() if cast else self.arithmetic.autocast(images.device):
            return self.encoder.encode_image(cut(images, windows, self.encoder.resolution)).to(images)


def look(latent: Tensor, batch: GuidedBatch, sight: Sight, settings: GenerationSettings, windows: Tensor) -> Step:
    """Decode latents and compare them with their texts, as far as the loss.

    Args:
        latent: ``[B, C, h, w]``, on its way from where the batch starts.
        windows: of the cutouts, ``[B, count, 2, 3]``.
    """
    images = sight.decode(latent, batch.grey)
    crops, texts = sight.embed(images, windows).unflatten(0, windows.shape[:2]), batch.texts[:, None]
    distance, similarity = spherical_distance(crops, texts).mean(dim=1), (crops * texts).sum(dim=-1).mean(dim=1)
    pull = (latent - batch.start).square().mean(dim=(1, 2, 3))
    return Step(images, settings.guidance * distance + settings.anchor * pull, similarity)


class Steps:
    """Steps of one batch after another with the same networks and settings.

    On a GPU the step is recorded with the first batch, and again for one of other shapes; where it cannot be, the steps
    are taken one by one, and a log says so.

    Attributes:
        sight, last: what looks at the latents in every step, and, in float32, after the last one: the images that are
            seen then are the ones that are kept.
        latent: ``[B, C, h, w]``, where the batch is.
    """

    latent: Tensor

    def __init__(
        self,
        vqgan: VQGAN,
        encoder: ImageTextEncoder,
        settings: GenerationSettings,
        device: str | torch.device,
        arithmetic: Arithmetic | None = None,
        record: Callable[[Callable[[], Step], torch.device], Callable[[], Step]] = Recording,
    ) -> None:
        """
        Args:
            arithmetic: the device's own if not given.
            record: makes of a step, which changes tensors in place, one that replays it.
        """
        self.settings, self._record = settings, record
        self.arithmetic = arithmetic or Arithmetic.of(settings.precision, device)
        self.sight = Sight.of(vqgan, encoder, self.arithmetic, device)
        self.last = Sight.of(vqgan, encoder, replace(self.arithmetic, precision="float32"), device)
        self._replay: Callable[[], Step] | None = None

    def begin(self, batch: GuidedBatch) -> None:
        """Take up a batch; whatever was done with the last one is forgotten."""
        if self._replay is not None and self._batch.like(batch):
            for held, given in zip(self._batch.tensors, batch.tensors, strict=True):
                held.copy_(given)
            self._to_start()
            return
        self._replay = None  # its memory is given back before another is recorded
        self._place(batch)
        if self.arithmetic.graph:
            self._record_for(batch)

    def move(self, windows: Tensor) -> Step:
        """A look, and a step from there; ``windows`` ``[B, count, 2, 3]``. The next call may write over what it saw."""
        if self._replay is None:
            self._windows = windows
            return self._moved()
        self._windows.copy_(windows)
        return self._replay()

    @torch.no_grad()
    def finish(self, windows: Tensor) -> Step:
        """The look after the last step."""
        with self.last.arithmetic.kernels():
            return look(self.latent, self._batch, self.last, self.settings, windows)

    def first_look(self, batch: GuidedBatch, windows: Tensor) -> object:
        """What most of a step's memory is held by while it lasts: what was seen, and on a GPU its backward pass.

        A CPU's is counted by what autograd keeps, a GPU's by its peak, to which a recorded step adds what the look
        after the last one needs.
        """
        latent = batch.start.clone().requires_grad_()
        with self.arithmetic.kernels():
            step = look(latent, batch, self.sight, self.settings, windows)
        if not self.arithmetic.gpu:
            return step
        gradient = torch.autograd.grad(step.loss.sum(), latent, retain_graph=True)
        with torch.no_grad(), self.last.arithmetic.kernels():
            return step, gradient, look(latent, batch, self.last, self.settings, windows)

    def _moved(self) -> Step:
        with self.arithmetic.kernels():
            step = look(self.latent, self._batch, self.sight, self.settings, self._windows)
            (self.latent.grad,) = torch.autograd.grad(step.loss.sum(), self.latent)
        self._optimiser.step()
        with torch.no_grad():
            self.latent.copy_(clamp_to_codebook(self.latent, self.sight.vqgan.codebook))
        return step.detached()

    def _place(self, batch: GuidedBatch) -> None:
        self._batch = batch
        self.latent = batch.start.clone().requires_grad_()
        # Adam works element by element, so that a batch is as good as one image at a time
        self._optimiser = FusedAdam([self.latent], self.settings.learning_rate)

    @torch.no_grad()
    def _to_start(self) -> None:
        self.latent.copy_(self._batch.start)
        for state in (*self._optimiser.first, *self._optimiser.second, *self._optimiser.steps):
            state.zero_()

    def _record_for(self, batch: GuidedBatch) -> None:
        # what is recorded reads and writes these very tensors
        grey = None if batch.grey is None else batch.grey.clone()
        self._batch = GuidedBatch(batch.start.clone(), batch.texts.clone(), grey)
        self._windows = batch.start.new_zeros(len(batch.start), self.settings.cutouts, 2, 3)
        try:
            self._replay = self._record(self._moved, batch.start.device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("CUDA graph: a guided step cannot be recorded (%s); taking the steps one by one", reason)
            self.arithmetic = replace(self.arithmetic, graph=False)
            self._place(batch)
        else:
            self._to_start()


def guide(
    start: Tensor,
    by: Guide,
    vqgan: VQGAN,
    settings: GenerationSettings,
    generators: Sequence[torch.Generator],
    watch: Callable[[int, Tensor], None] | None = None,
    grey: Tensor | None = None,
    steps: Steps | None = None,
) -> Guided:
    """Optimise a batch of latents towards their texts with Adam; images do not influence each other.

    Args:
        start: latents, ``[B, C, h, w]``.
        generators: one an image, for its cutouts.
        watch: called with the iteration and the decoded images ``[B, 3, H, W]`` in [0, 1], before every step and
            after the last one; the next step may write over them.
        grey: see ``decode``.
        steps: of these networks and settings, which one batch after another may share; made here if not given.
    """
    steps = steps or Steps(vqgan, by.encoder, settings, start.device)
    windows = draw_windows(settings.cutouts, settings.iterations + 1, generators).to(start)
    steps.begin(GuidedBatch(start, by.texts, grey))
    history = []
    every = range(settings.iterations + 1)
    for iteration in tqdm(every, desc="guidance", unit="step", leave=False, mininterval=5, disable=None):
        more = iteration < settings.iterations
        step = steps.move(windows[iteration]) if more else steps.finish(windows[iteration])
        history.append((step.loss.clone(), step.similarity.clone()))
        if watch is not None:
            watch(iteration, step.images)
    losses, similarities = zip(*history, strict=True)
    return Guided(
        steps.latent.detach().clone(), step.images, torch.stack(losses, dim=1), torch.stack(similarities, dim=1)
    )
