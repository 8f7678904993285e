"""A recipe of method ``generate``, from the config's words to images."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.provenance import library_files
from variad.generation.added import AddedImages, Chunks, digest_of
from variad.generation.engine import generate
from variad.generation.guidance import Guide
from variad.generation.prompts import read_texts
from variad.generation.settings import GenerationSettings, Request
from variad.networks.encoders import load_encoder
from variad.networks.vqgan import load_vqgan


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
    """
    settings = GenerationSettings.of(recipe)
    model = load_vqgan(vqgan["weights"], config_path=vqgan["config"], sha256=vqgan["sha256"])
    prompts, by = [""] * len(wanted), None
    if settings.guided:
        prompts, embeddings = prompts_of_runs(files, [request.run for request in wanted])
        by = Guide(load_encoder(**(encoder or {}), classes=files.encoder, device=device), embeddings)
    seeds = [request.seed for request in wanted]
    # everything that decides an image's bytes, code included; how large its batch is does not
    words = (replace(settings, batch_size=None), vqgan, encoder, seeds, device, torch.__version__)
    weights = (tensor.cpu().numpy().tobytes() for tensor in model.state_dict().values())
    code = (path.read_bytes() for path in library_files(__file__))
    texts = by.texts.numpy().tobytes() if by else b""
    chunks = Chunks(output, digest_of([repr(words).encode(), parents.tobytes(), texts, *weights, *code]))
    generated = generate(parents, seeds, settings, model, by, device, memory, chunks)
    added = AddedImages.of(generated.images, wanted, generated.distance)
    added.prompt, added.trace = prompts, generated.trace
    added.similarity, added.accepted = generated.similarity, generated.accepted
    if generated.steps is not None:
        added.steps, added.steps_iteration = generated.steps, generated.steps_iteration
        added.steps_index = np.arange(len(generated.steps), dtype=np.int64)
    return added


def prompts_of_runs(files: PromptFiles, runs: Sequence[int]) -> tuple[list[str], Tensor]:
    """The best prompt of each run given, and their unit embeddings ``[len(runs), D]``.

    Raises:
        UserError: the chosen prompt was never embedded.
    """
    if files.prompts is None or files.texts is None:
        raise UserError("training set: expected prompts and text embeddings for guidance, found none.")
    with open(files.prompts, encoding="utf-8") as stream:
        best = {entry["run"]: entry["best"]["prompt"] for entry in json.load(stream)["runs"]}
    prompts = [best[run] for run in runs]
    return prompts, torch.from_numpy(read_texts(files.texts, prompts))
