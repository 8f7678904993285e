"""Oxford Flowers-102: 8,189 photographs of 102 kinds of flowers, as class tasks.

Source: Nilsback and Zisserman, "Automated Flower Classification over a Large Number of Classes", 2008.
``jpg/image_00001.jpg`` and on, ``imagelabels.mat`` (classes 1 to 102 by image), ``setid.mat`` (``trnid``, ``valid``,
``tstid``: numbers of images).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variad.datasets.class_task import ClassImage, class_task
from variad.datasets.interface import Entry, Split
from variad.errors import UserError

SPLITS: dict[str, Split] = {"trnid": "train", "valid": "train", "tstid": "test"}


@dataclass(frozen=True)
class Flowers102:
    """The unpacked archive with the two MAT files beside ``jpg``; a category is a class from ``001`` to ``102``.

    The published training and validation sets (ten images of each class) train together.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """20 training normals, the test normals, and test images of the other classes.

        Raises:
            UserError: a file is missing or they contradict each other, or the class is unknown.
        """
        labels = _values(self.root / "imagelabels.mat", "labels")
        images = []
        for key, split in SPLITS.items():
            for number in _values(self.root / "setid.mat", key):
                if not 1 <= number <= len(labels):
                    raise UserError(
                        f"{self.root / 'setid.mat'}: expected image numbers from 1 to {len(labels)}, found {number}."
                    )
                images.append(ClassImage(Path("jpg") / f"image_{number:05}.jpg", f"{labels[number - 1]:03}", split))
        return class_task(images, category, self.test_per_class, self.seed)


def _values(path: Path, key: str) -> list[int]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(str(path))
        return [int(value) for value in content[key].ravel()]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise UserError(f"{path}: expected a MAT file with {key}, found: {error}.") from error
