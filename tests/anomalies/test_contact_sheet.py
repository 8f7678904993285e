"""The contact sheet shows the right pictures in the right places."""

import numpy as np
import pytest
from PIL import Image

from variad.anomalies.anomaly_file import Anomaly, Strengths, read_manifest, write_anomalies
from variad.core.records import read_images
from variad.report.anomaly_sheet import GAP, HEAD, LABEL, TILE, draw_anomalies


def flat(value):
    return np.full((32, 32, 3), value, np.uint8)


@pytest.mark.parametrize("mixed", [False, True])
def test_parents_anomalies_and_strengths(category, mixed):
    parents = category.names[:2]
    made = [Anomaly(flat(10 + place), parents[0], parents[1] if mixed else "", 0.5) for place in range(30)]
    strengths = Strengths(np.stack([[flat(200), flat(220)]]), [0.0, 1.0], ["a seed"])
    files = category.folder / "anomalies.h5", category.folder / "manifest.csv"
    write_anomalies(*files, "s", {0: made}, strengths=strengths)
    draw_anomalies(category.folder / "sheet.png", "title", category.images, files[0], read_manifest(files[1]))
    with Image.open(category.folder / "sheet.png") as picture:
        sheet = np.asarray(picture)
    first = Image.fromarray(read_images(category.images, parents)[0])
    parent = np.asarray(first.resize((TILE, TILE), Image.Resampling.LANCZOS))
    top = HEAD + 16
    assert np.array_equal(sheet[top : top + TILE, GAP : GAP + TILE], parent)
    left = GAP + (2 if mixed else 1) * (TILE + GAP)
    assert (sheet[top : top + TILE, left : left + TILE] == 10).all()  # the first anomaly
    lines = 6 if mixed else 4
    assert sheet.shape[0] == HEAD + (lines + 1) * (TILE + LABEL) + GAP
    top += lines * (TILE + LABEL)
    assert (sheet[top : top + TILE, GAP : GAP + TILE] == 200).all()
    assert (sheet[top : top + TILE, 2 * GAP + TILE : 2 * GAP + 2 * TILE] == 220).all()
