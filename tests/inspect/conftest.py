"""Photographs of a bottle lid that the stand-in calls good, to look at, and bad."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LEVELS = {"good.png": 51, "monday/look.png": 153, "monday/bad.png": 230}


def save(path: Path, level: int, height: int = 40, width: int = 60) -> Path:
    """A plain grey photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(path)
    return path


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``photos`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, level in LEVELS.items():
        save(tmp_path / "photos" / name, level)
    return Path("photos")
