"""CLIP's text tower on as many positions as its texts have tokens, in place of its whole context.

Attention is causal and the output is read at the end-of-text token, so what comes after that token changes nothing. A
prompt has about ten tokens, CLIP's context 77: the same embeddings, up to rounding, for a sixth of the work.
"""

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


def encode_short(model: Any, tokens: Tensor) -> Tensor:
    """Embeddings ``[B, D]`` of token ids ``[B, T]``, not normalised, as the model's own ``encode_text`` gives them.

    Models whose text tower is not causal, or is read elsewhere than at its highest token (SigLIP, CoCa), see all of T.
    """
    longest = int(tokens.argmax(dim=-1).max()) + 1
    if longest == tokens.shape[1] or not _reads_end_of_text(model):
        whole: Tensor = model.encode_text(tokens)
        return whole
    shorter = {
        "model.positional_embedding": model.positional_embedding[:longest],
        "model.attn_mask": model.attn_mask[:longest, :longest],
    }
    embeddings: Tensor = functional_call(_TextTower(model), shorter, (tokens[:, :longest],))
    return embeddings


class _TextTower(nn.Module):
    """``encode_text`` as a module's call, which is what ``functional_call`` can give other tensors to."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        embeddings: Tensor = self.model.encode_text(tokens)
        return embeddings


def _reads_end_of_text(model: Any) -> bool:
    """Whether a model is open_clip's ``CLIP``, whose mask and positions are its own, pooled at the highest token id."""
    causal = getattr(model, "attn_mask", None) is not None
    return causal and getattr(model, "text_pool_type", None) == "argmax" and hasattr(model, "positional_embedding")
