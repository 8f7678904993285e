"""A recipe of method ``generate``, from the config's words to images."""

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import h5py
import torch
from torch import Tensor

from variad.encoders import load_encoder
from variad.errors import UserError
from variad.generation.added import AddedImages
from variad.generation.engine import GenerationSettings, generate
from variad.generation.requests import Request
from variad.generation.training_set import from_generated
from variad.models.vqgan import load_vqgan
from variad.records import Images


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
    device: str,
) -> AddedImages:
    """Generate one image a request; the arguments from ``recipe`` to ``encoder`` are entries of the config.

    Args:
        parents: uint8 RGB ``[M, S, S, 3]``, the shot of each request.
    """
    settings = GenerationSettings(**{field.name: recipe[field.name] for field in fields(GenerationSettings)})
    model = load_vqgan(vqgan["weights"], config_path=vqgan["config"], sha256=vqgan["sha256"])
    prompts, texts, guide = [""] * len(wanted), None, None
    if settings.guided:
        prompts, texts = prompts_of_runs(files, [request.run for request in wanted])
        guide = load_encoder(**(encoder or {}), classes=files.encoder, device=device)
    seeds = [request.seed for request in wanted]
    generated = generate(parents, seeds, settings, model, guide, texts, device, vqgan["luminance_only"])
    return from_generated(generated, wanted, prompts)


def prompts_of_runs(files: PromptFiles, runs: Sequence[int]) -> tuple[list[str], Tensor]:
    """The best prompt of each run given, and their unit embeddings ``[len(runs), D]``.

    Raises:
        UserError: the chosen prompt was never embedded.
    """
    if files.prompts is None or files.texts is None:
        raise UserError("training set: expected prompts and text embeddings for guidance, found none.")
    with open(files.prompts, encoding="utf-8") as stream:
        best = {entry["run"]: entry["best"]["prompt"] for entry in json.load(stream)["runs"]}
    with h5py.File(files.texts) as file:
        row = {str(prompt): index for index, prompt in enumerate(file["prompt"].asstr()[:])}
        missing = [prompt for prompt in best.values() if prompt not in row]
        if missing:
            raise UserError(f"{files.texts}: expected an embedding of {missing[0]!r}, found none.")
        embeddings = torch.stack([torch.from_numpy(file["embeddings"][row[best[run]]]) for run in runs])
    return [best[run] for run in runs], embeddings
