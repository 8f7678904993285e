"""How well every prompt matches the shots: texts embedded once and kept, shots embedded, the best and worst prompt."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import Images
from variad.core.shortages import new_hdf5
from variad.networks.encoders import ImageTextEncoder
from variad.networks.features import to_tensor

TEXTS_A_CHUNK = 4096
IMAGES_A_BATCH = 32
DECIMALS = 6


def embed_texts(encoder: ImageTextEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit embeddings, float32 ``[N, D]``, in the order of ``texts``; short texts are embedded beside short ones."""
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), texts[row]))
    parts = []
    for start in tqdm(range(0, len(order), TEXTS_A_CHUNK), desc="texts", unit="chunk", mininterval=5, disable=None):
        rows = order[start : start + TEXTS_A_CHUNK]
        parts.append(encoder.encode_text([texts[row] for row in rows]).float().cpu().numpy())
    embeddings = np.concatenate(parts)
    result = np.empty_like(embeddings)
    result[order] = embeddings
    return result


def write_texts(path: str | Path, prompts: Sequence[str], embeddings: NDArray[np.float32], encoder: str) -> None:
    """Write ``texts/{encoder}.{word_source}.h5``: ``/embeddings`` ``[N, D]`` and ``/prompt`` ``[N]``."""
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.attrs["encoder"] = encoder
        file.create_dataset("embeddings", data=embeddings)
        file.create_dataset("prompt", data=list(prompts), dtype=h5py.string_dtype())


def read_texts(path: str | Path, prompts: Sequence[str]) -> NDArray[np.float32]:
    """Embeddings ``[N, D]`` of the prompts given, in their order.

    Raises:
        UserError: one of them was not embedded.
    """
    with h5py.File(path) as file:
        row = {str(prompt): index for index, prompt in enumerate(file["prompt"].asstr()[:])}
        embeddings = file["embeddings"][:]
    missing = [prompt for prompt in prompts if prompt not in row]
    if missing:
        raise UserError(f"{path}: expected an embedding of '{missing[0]}', found none.")
    return embeddings[[row[prompt] for prompt in prompts]]


@torch.no_grad()
def embed_images(encoder: ImageTextEncoder, images: Images, device: str = "cpu") -> Tensor:
    """Unit embeddings ``[N, D]`` of uint8 RGB images ``[N, S, S, 3]``, on the CPU."""
    batches = to_tensor(images).split(IMAGES_A_BATCH)
    return torch.cat([encoder.encode_image(batch.to(device)).float().cpu() for batch in batches])


def embed_runs(embeddings: Mapping[str, Tensor], shots: Mapping[int, Sequence[str]]) -> Tensor:
    """One unit embedding a run, ``[R, D]``: the mean over its shots, normalised again [assumed].

    Args:
        embeddings: unit embedding ``[D]`` of every shot by image_id.
        shots: image_ids by run.
    """
    means = [torch.stack([embeddings[name] for name in names]).mean(dim=0) for names in shots.values()]
    return functional.normalize(torch.stack(means), dim=-1)


def score_prompts(image_embeddings: NDArray[np.float32], text_embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of every run with every prompt, ``[R, N]``, of unit embeddings ``[R, D]`` and ``[N, D]``."""
    return image_embeddings @ text_embeddings.T


def score_table(candidates: pd.DataFrame, runs: Sequence[int], similarity: NDArray[np.float32]) -> pd.DataFrame:
    """The table ``prompt_scores``: every candidate of every run, similarities to six decimals.

    Args:
        candidates: table ``candidates``, N rows.
        similarity: ``[R, N]``.
    """
    columns = {name: np.tile(candidates[name].to_numpy(), len(runs)) for name in ("round", "word", "prompt")}
    run = np.repeat(np.asarray(runs, dtype=int), len(candidates))
    return pd.DataFrame({"run": run, **columns, "similarity": similarity.astype(float).ravel().round(DECIMALS)})


def best_and_worst(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The prompts with the highest and lowest similarity of every run; of equals, the first.

    The first document keeps the best of each round and then the best of these: the same prompt.
    """
    chosen = []
    for run, rows in scores.groupby("run"):
        similarity = rows["similarity"].to_numpy()
        ends = {"best": rows.iloc[int(similarity.argmax())], "worst": rows.iloc[int(similarity.argmin())]}
        entries = {
            name: {"word": row["word"], "prompt": row["prompt"], "similarity": float(row["similarity"])}
            for name, row in ends.items()
        }
        chosen.append({"run": int(str(run)), **entries})
    return chosen


def write_choice(
    path: str | Path, scores: pd.DataFrame, *, encoder: str, word_source: str, class_name: str
) -> list[dict[str, Any]]:
    """Write best and worst prompt of every run as JSON (see ``docs/data_contracts.md``), and return them."""
    runs = best_and_worst(scores)
    content = {"encoder": encoder, "word_source": word_source, "class_name": class_name, "runs": runs}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return runs
