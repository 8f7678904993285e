"""Scoring the real test images of a category with every candidate; their labels are the judge's business."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from variad.anomalies.support import read_support
from variad.records import read_images
from variad.selection.trials import Candidates, ImagePool, Trial, score_trials


def score_real(
    candidates: Candidates, images: str | Path, support: str | Path, test_ids: Sequence[str], prefix: str
) -> pd.DataFrame:
    """Table ``real_scores``: test images scored with the original bank of every run."""
    runs = read_support(support)
    pool = ImagePool()
    queries = pool.add(read_images(images, test_ids))
    trials = [Trial(run, pool.add(read_images(images, members.bank)), queries) for run, members in runs.items()]
    parts = [
        pd.DataFrame({"run": run, "candidate": f"{prefix}/{name}", "image_id": list(test_ids), "score": values})
        for run, scores in zip(runs, score_trials(candidates, pool.images, trials), strict=True)
        for name, values in scores.items()
    ]
    return pd.concat(parts, ignore_index=True)
