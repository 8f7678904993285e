"""How far an edit moves an image towards a text, in the space of an image-text encoder."""

from torch import Tensor
from torch.nn import functional

SOURCE_FREE, DIRECTIONAL = "source_free", "directional"


def directional_loss(target: Tensor, source: Tensor, text: Tensor, source_text: Tensor | None = None) -> Tensor:
    """``1 - cos(target - source, direction)``, one an image.

    Args:
        target, source: embeddings of the edited images and of the unedited ones, ``[B, D]``.
        text: embedding of the text to move towards, ``[D]``.
        source_text: embedding of a text that describes the unedited images, ``[D]``. With it the direction is
            ``text - source_text`` (L_dir of StyleGAN-NADA and Asyrp); without it ``text - source``, the second
            document's L' (its appendix A.2).

    Returns:
        ``[B]``, 0 to 2; 1 where the target is the source.
    """
    direction = text - (source if source_text is None else source_text)
    return 1 - functional.cosine_similarity(target - source, direction.expand_as(source), dim=-1)
