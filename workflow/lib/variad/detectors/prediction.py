"""Ranking unlabelled images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def ranked(image_ids: Sequence[str], scores: NDArray[np.float32], threshold: float) -> pd.DataFrame:
    """Table ``predictions``: the most anomalous first, equal scores by name; above the threshold is anomalous."""
    table = pd.DataFrame({"image_id": list(image_ids), "score": scores.astype(float)})
    table = table.sort_values(["score", "image_id"], ascending=[False, True], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table["threshold"] = threshold
    table["anomalous"] = table["score"] > threshold
    return table
