"""Text embeddings of the candidates: computed once, kept in HDF5."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from variad.encoders.base import ImageTextEncoder
from variad.errors import UserError
from variad.files import writing

TEXTS_A_CHUNK = 4096


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
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
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
