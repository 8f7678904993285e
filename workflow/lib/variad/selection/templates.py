"""Prompts as detectors: how much better an image matches the anomalous prompt of a template than the normal one.

Source: second document, section 4.3, and A.4 for the templates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variad.core.images import Images
from variad.networks.encoders import ImageTextEncoder, load_encoder
from variad.networks.features import to_tensor
from variad.selection.settings import Pair, find_templates
from variad.selection.trials import Scores, Trial

BATCH = 8
SCALE = 100.0  # CLIP's logit scale [assumed]


def anomaly_logit(images: Tensor, normal: Tensor, anomalous: Tensor, scale: float = SCALE) -> Tensor:
    """Logit of the anomalous prompt's softmax weight, ``[B]``, of unit embeddings ``[B, D]``, ``[D]``, ``[D]``.

    The same order as the weight has, without ties where that is rounded to 0 or 1.
    """
    return scale * (images @ anomalous - images @ normal)


class Templates:
    """Candidates ``template_01`` and on; banks play no part.

    Args:
        pairs: normal and anomalous prompt of each, with ``{}`` for the class name.
        class_name: the product's name.
    """

    def __init__(self, encoder: ImageTextEncoder, pairs: Sequence[Pair], class_name: str, device: str = "cpu") -> None:
        self.encoder, self.pairs, self.class_name, self.device = encoder, pairs, class_name, device

    def describe(self) -> list[dict[str, str | int]]:
        """All are of one size."""
        size: dict[str, str | int] = {"parameters": 0, "depth": 0, "resolution": self.encoder.resolution}
        return [{"candidate": name, **size} for name in self._names()]

    def score(self, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
        """See ``Candidates.score``."""
        texts = [text.replace("{}", self.class_name) for pair in self.pairs for text in pair]
        embedded = self.encoder.encode_text(texts).double().split(2)
        queries, parts = np.unique(np.concatenate([trial.queries for trial in trials])), []
        for start in range(0, len(queries), BATCH):
            with torch.inference_mode():
                images = self.encoder.encode_image(to_tensor(pool[queries[start : start + BATCH]]).to(self.device))
            parts.append(torch.stack([anomaly_logit(images.double(), *pair) for pair in embedded]).cpu())
        logits = torch.cat(parts, dim=1).numpy()
        places = [np.searchsorted(queries, trial.queries) for trial in trials]
        return [dict(zip(self._names(), logits[:, place], strict=True)) for place in places]

    def _names(self) -> list[str]:
        return [f"template_{number:02}" for number in range(1, len(self.pairs) + 1)]


def open_candidates(
    entry: Mapping[str, Any],
    *,
    encoder: Mapping[str, Any],
    classes: str | None,
    class_name: str,
    device: str,
    **_: Any,
) -> Templates:
    """See ``variad.selection.trials.open_candidates``."""
    loaded = load_encoder(**encoder, classes=classes, device=device)
    return Templates(loaded, find_templates(entry["templates"]), class_name, device)
