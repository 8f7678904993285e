"""Figure 12: real, generated and defective images in one plane, by t-SNE of their pooled features."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.evaluation.spread import Pooled, nearest_other

PERPLEXITY = 30.0  # scikit-learn's default
FEWEST = 5
DECIMALS = 4


def kinds_of(manifest: pd.DataFrame) -> "pd.Series[str]":
    """What each labelled image is, by image_id: ``train_normal``, ``test_normal`` or ``anomalous``.

    Args:
        manifest: schema ``manifest``; unlabelled images are left out.
    """
    labelled = manifest[manifest["split"].isin(["train", "test"])]
    kinds = np.where(labelled["label"] == 1, "anomalous", labelled["split"] + "_normal")
    return pd.Series(list(kinds), index=list(labelled["image_id"]), dtype=str)


def tsne_points(
    real: Pooled, kinds: "pd.Series[str]", generated: Pooled, parents: list[str], run: int, seed: int
) -> pd.DataFrame:
    """The table of schema ``tsne_points``: generated images last, so that they are drawn over the real ones.

    Args:
        real: pooled features of the real images, in the order of ``kinds`` (from ``kinds_of``).
        generated: pooled features of the accepted images of one run, and what they were made from.

    Raises:
        UserError: fewer images than t-SNE can lay out.
    """
    features = np.concatenate([real, generated])
    plane = embed(features, seed)
    table = pd.DataFrame(
        {
            "kind": [*kinds, *["generated"] * len(generated)],
            "image": [*kinds.index, *parents],
            "run": pd.array([pd.NA] * len(real) + [run] * len(generated), dtype="Int64"),
            "x": plane[:, 0],
            "y": plane[:, 1],
            "nearest_normal": nearest_other(features, np.flatnonzero(kinds == "train_normal").tolist()),
        }
    )
    return table.round(DECIMALS)


def embed(features: Pooled, seed: int) -> NDArray[np.float64]:
    """Positions ``[N, 2]`` of rows ``[N, D]``; the perplexity is at most a third of the number of other rows.

    Raises:
        UserError: there are fewer than five rows.
    """
    if len(features) < FEWEST:
        raise UserError(f"t-SNE: expected at least {FEWEST} images, found {len(features)}.")
    # two seconds to import, so only for those who use it
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    return np.asarray(model.fit_transform(features.astype(np.float32)), dtype=np.float64)
