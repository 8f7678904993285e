"""Recipes of method ``generate``, from the config's words to images, as many in one batch as memory allows.

The generator is the first document's, figure 2: shots in, varied images out.
"""

import functools
import json
import logging
import math
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.precision import Arithmetic
from variad.core.provenance import library_files
from variad.core.shortages import fault_of_memory
from variad.generation.added import AddedImages, Arrays, Chunks, digest_of
from variad.generation.guidance import Guide, Spreads, decode, draw_windows, perturb_latent
from variad.generation.prompts import read_texts
from variad.generation.settings import GenerationSettings, Request
from variad.generation.steps import GuidedBatch, Steps, guide
from variad.generation.strategies import accepted, distance_to_view, strategy
from variad.networks.encoders import ImageTextEncoder, load_encoder
from variad.networks.features import are_grey, to_tensor, to_uint8
from variad.networks.frozen_vqgan import on_device
from variad.networks.vqgan import VQGAN, load_vqgan

log = logging.getLogger("variad")
Result = TypeVar("Result")

WATCHED = 6  # images whose steps are kept for the contact sheet
WATCHED_STEPS = 5
CPU_BATCH = 4  # one image is a quarter slower, eight are no faster (benchmarks/generation.csv) and take more memory
GPU_BATCH = 64  # a cap alone, memory decides; 16 are a tenth slower with the published networks
MARGIN = 0.8  # of the free memory: fragments, workspaces of convolutions, the batch's results
PROBES = (2, 4)  # batches that a GPU's memory is measured with; the first also pays for what is loaded once
_STATM = Path("/proc/self/statm")  # Linux


class PromptFiles(NamedTuple):
    """Prompts (``.json``), text embeddings (``.h5``) and encoder file; all None for a recipe without text."""

    prompts: str | None
    texts: str | None
    encoder: str | None


def build_generated(
    parents: Images,
    wanted: Sequence[Request],
    recipe: dict[str, Any],
    vqgan: dict[str, Any],
    encoder: dict[str, Any] | None,
    files: PromptFiles,
    output: str | Path,
    device: str,
    memory: int | None = None,
) -> AddedImages:
    """Generate one image a request; the arguments from ``recipe`` to ``encoder`` are entries of the config.

    Args:
        parents: uint8 RGB ``[M, S, S, 3]``, the shot of each request.
        output: file that the images are for; finished batches lie beside it (``Chunks``) until the caller clears them.
        memory: bytes granted to the job.

    Raises:
        UserError: the chosen prompt of a run was never embedded.
    """
    settings = GenerationSettings.of(recipe)
    model = load_vqgan(vqgan["weights"], config_path=vqgan["config"], sha256=vqgan["sha256"])
    prompts, by = [""] * len(wanted), None
    if settings.guided:
        if files.prompts is None or files.texts is None:
            raise UserError("training set: expected prompts and text embeddings for guidance, found none.")
        with open(files.prompts, encoding="utf-8") as stream:
            best = {entry["run"]: entry["best"]["prompt"] for entry in json.load(stream)["runs"]}
        prompts = [best[request.run] for request in wanted]
        loaded = load_encoder(**(encoder or {}), classes=files.encoder, device=device)
        by = Guide(loaded, torch.from_numpy(read_texts(files.texts, prompts)))
    # everything that decides an image, code included; how large its batch is moves it by rounding at most
    seeds = [request.seed for request in wanted]
    words = (replace(settings, batch_size=None), vqgan, encoder, seeds, device, torch.__version__)
    weights = (tensor.cpu().numpy().tobytes() for tensor in model.state_dict().values())
    code = (path.read_bytes() for path in (Path(__file__), *library_files(__file__)))
    texts = by.texts.numpy().tobytes() if by else b""
    chunks = Chunks(output, digest_of([repr(words).encode(), parents.tobytes(), texts, *weights, *code]))
    added = generate(parents, wanted, settings, model, by, device, memory, chunks)
    return replace(added, prompt=prompts)


def generate(
    parents: Images,
    wanted: Sequence[Request],
    settings: GenerationSettings,
    vqgan: VQGAN,
    by: Guide | None = None,
    device: str = "cpu",
    memory: int | None = None,
    chunks: Chunks | None = None,
) -> AddedImages:
    """Make one image of every parent given, for a request each; prompts are the caller's to add.

    Args:
        parents: uint8 RGB ``[M, S, S, 3]``; repeat a shot to get several images of it.
        wanted: an image is made of its parent, its seed and the settings, and of no other image. The size of its batch
            decides how sums are rounded, and guided steps amplify that until a latent moves to another code: on a CPU
            rarely, on a GPU in most images. With batches of the same size the same images come out.
        by: encoder and texts of the M images, for guided settings.
        memory: bytes granted to the job, on a CPU; no limit if not given. A GPU is asked what it has left.
        chunks: where finished batches are kept, and taken from if they are there.

    Raises:
        UserError: there is not enough memory for one image.
    """
    generator = _Generator(vqgan, by.encoder if by and settings.guided else None, settings, device)
    by = Guide(by.encoder, by.texts.to(device)) if by and settings.guided else None
    seeds = [request.seed for request in wanted]
    parts = list(chunks.kept()) if chunks else []
    done = sum(len(part["images"]) for part in parts)
    size = generator.batch_size(parents, by, memory, len(parents) - done) if done < len(parents) else 0
    with tqdm(total=len(parents), initial=done, desc="generation", unit="image", mininterval=5, disable=None) as bar:
        while done < len(parents):
            part, size = shrinking(functools.partial(generator.batch, parents, seeds, by, done), size)
            if chunks:
                chunks.keep(done, part)
            parts.append(part)
            done += len(part["images"])
            bar.update(len(part["images"]))
    return _join(parts, wanted)


def _join(parts: Sequence[Arrays], wanted: Sequence[Request]) -> AddedImages:
    def joined(name: str) -> Any:
        found = [part[name] for part in parts if name in part]
        return np.concatenate(found) if found else None

    added = AddedImages.of(joined("images"), wanted, joined("distance"))
    added.similarity, added.accepted, added.steps = joined("similarity"), joined("accepted"), joined("steps")
    added.trace = {name: values for name in ("loss", "similarity") if (values := joined(f"trace_{name}")) is not None}
    if added.steps is not None:
        added.steps_index = np.arange(len(added.steps))
        added.steps_iteration = np.asarray(parts[0]["steps_iteration"], np.int64)
    return added


class _Generator:
    """All that batches have in common."""

    def __init__(
        self, vqgan: VQGAN, encoder: ImageTextEncoder | None, settings: GenerationSettings, device: str
    ) -> None:
        self.settings, self.device = settings, device
        self.exact = Arithmetic.of("float32", device)
        self.vqgan = on_device(vqgan, self.exact, device)
        self.steps = Steps(self.vqgan, encoder, settings, device) if encoder else None
        self.spreads = Spreads(self.vqgan, settings.view, settings.sigma)

    def batch_size(self, parents: Images, by: Guide | None, memory: int | None, left: int) -> int:
        """Images a batch, by the config's cap and the memory that there is, for ``left`` images to be made."""
        free = free_bytes(self.device, memory)
        first = functools.partial(self._first_step, parents[:1], by)
        per_image = 0 if free is None else bytes_per_image(first) if not self.exact.gpu else bytes_at_peak(first)
        size = min(len(parents), batch_size(self.settings.batch_size, per_image, free, self.device))
        # batches of one size can share a recorded step
        size = evenly(left, size) if self.exact.gpu else size
        log.info("%d images a batch, about %.2f GB each", size, per_image / 1e9)
        return size

    def _first_step(self, parent: Images, by: Guide | None, count: int) -> object:
        """A look at ``count`` images: what it keeps for the backward pass is most of a batch's memory."""
        with torch.no_grad():
            start = self.vqgan.encode(to_tensor(parent.repeat(count, axis=0)).to(self.device) * 2 - 1)
        if by is None or self.steps is None:
            return decode(self.vqgan, start.clone().requires_grad_())
        windows = draw_windows(self.settings.cutouts, 1, [torch.Generator() for _ in range(count)])[0].to(start)
        return self.steps.first_look(GuidedBatch(start, by.texts[:1].expand(count, -1)), windows)

    def batch(self, parents: Images, seeds: Sequence[int], by: Guide | None, start: int, count: int) -> Arrays:
        """The images from ``start`` on, at most ``count``, and what is known of them, as named arrays."""
        rows = slice(start, start + count)
        batch = _Batch(self, to_tensor(parents[rows]).to(self.device), seeds[rows])
        with self.exact.kernels():
            return batch.run(by.rows(rows) if by else None, watched=max(0, min(WATCHED - start, len(seeds[rows]))))


class _Batch:
    """One batch on its way through the generator."""

    def __init__(self, generator: _Generator, images: Tensor, seeds: Sequence[int]) -> None:
        self.vqgan, self.settings, self.spreads = generator.vqgan, generator.settings, generator.spreads
        self.steps = generator.steps
        self.images, self.grey = images, are_grey(images)
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def run(self, by: Guide | None, watched: int) -> Arrays:
        with torch.no_grad():
            views = strategy(self.settings.view)(self.images, self.generators)
            mean = self.vqgan.encode(views * 2 - 1)
            latent = self._perturb(mean)
        decoded, trace = self._guide(latent, by, watched) if by else (self._decode(latent), {})
        with torch.no_grad():
            # what reconstruction loses cancels out, so that the photograph's finest detail stays
            residual = self.settings.output == "residual"
            result = (views + (decoded - self._decode(mean))).clamp(0, 1) if residual else decoded
            return {**self._record(result, views, by), **trace}

    def _perturb(self, mean: Tensor) -> Tensor:
        # drawn in every form, so that what is drawn afterwards does not depend on it
        noise = torch.stack([torch.randn(mean.shape[1:], generator=generator) for generator in self.generators])
        form, scale = self.settings.form, self.settings.noise_scale
        if form == "mu" or scale == 0:
            return mean
        return perturb_latent(mean, self.spreads.of(self.images), noise.to(mean), form, scale)

    @torch.no_grad()
    def _decode(self, latent: Tensor) -> Tensor:
        return decode(self.vqgan, latent, self.grey)

    def _guide(self, latent: Tensor, by: Guide, watched: int) -> tuple[Tensor, Arrays]:
        """Images ``[B, 3, H, W]`` and the trace, with the first ``watched`` images at some of the steps."""
        wanted = {int(step) for step in np.linspace(0, self.settings.iterations, WATCHED_STEPS).round()}
        frames: dict[int, Tensor] = {}

        def watch(iteration: int, images: Tensor) -> None:
            if watched and iteration in wanted:
                frames[iteration] = images[:watched].clone()

        guided = guide(latent, by, self.vqgan, self.settings, self.generators, watch, self.grey, self.steps)
        found = {"trace_loss": guided.loss.cpu().numpy(), "trace_similarity": guided.similarity.cpu().numpy()}
        if frames:
            found["steps"] = np.stack([to_uint8(frames[iteration]) for iteration in sorted(frames)], axis=1)
            found["steps_iteration"] = np.array(sorted(frames), np.int64)
        return guided.images, found

    def _record(self, result: Tensor, views: Tensor, by: Guide | None) -> Arrays:
        distance = distance_to_view(result, views).cpu().numpy()
        similarity = gain = np.full(len(result), np.nan, np.float32)
        if by:
            similarity, before = (
                (by.encoder.encode_image(images) * by.texts).sum(dim=1).cpu().numpy() for images in (result, views)
            )
            gain = similarity - before
        passes = accepted(gain, distance, self.settings.min_similarity_gain, self.settings.max_distance)
        return {"images": to_uint8(result), "similarity": similarity, "distance": distance, "accepted": passes}


def free_bytes(device: str, granted: int | None = None) -> int | None:
    """Memory that may still be taken: of the GPU, or what is left of the ``granted`` bytes; None without a limit.

    What torch keeps of a GPU's memory without using it counts as free.
    """
    if torch.device(device).type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    if not granted or not _STATM.is_file():
        return None
    in_use = int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    return max(0, granted - in_use)


def bytes_per_image(forward: Callable[[int], object]) -> int:
    """Bytes that one more image adds to what autograd keeps for the backward pass of ``forward(images)``."""

    def kept(images: int) -> int:
        """Bytes of all storages, weights included."""
        seen: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # a layer's own result would keep the layer that keeps it, for ever

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = forward(images)  # alive until counted, so that no address is used twice
        del result
        return sum(seen.values())

    return max(0, kept(2) - kept(1))


def bytes_at_peak(work: Callable[[int], object]) -> int:
    """Bytes that one more image adds to the most memory that the GPU has in use at once during ``work(images)``."""

    def peak(images: int) -> int:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work(images)
        return int(torch.cuda.max_memory_allocated()) - before

    few, many = PROBES
    work(few)
    return max(0, peak(many) - peak(few)) // (many - few)


def evenly(count: int, size: int) -> int:
    """The size of as few batches of at most ``size`` as ``count`` images need, as equal as they can be."""
    return math.ceil(count / math.ceil(count / size))


def batch_size(cap: int | None, per_image: int, free: int | None, device: str) -> int:
    """Images a batch: at most ``cap`` (None: what is known to pay on this kind of device), as memory allows."""
    wanted = cap or (GPU_BATCH if torch.device(device).type == "cuda" else CPU_BATCH)
    if free is None or not per_image:
        return wanted
    return max(1, min(wanted, int(MARGIN * free / per_image)))


def shrinking(work: Callable[[int], Result], size: int) -> tuple[Result, int]:
    """``work(size)``; when memory runs out with half the size, and so on. Returns also the size that worked.

    Raises:
        UserError: not even one image fits.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if fault_of_memory(error) is None:
                raise
            if size == 1:
                raise UserError(
                    "generation: expected memory for one image at a time, found too little; give the job more "
                    "(resource mem_mb, or a larger GPU), or lower image_size or cutouts."
                ) from error
            log.warning("out of memory with %d images a batch; trying %d", size, size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size //= 2
