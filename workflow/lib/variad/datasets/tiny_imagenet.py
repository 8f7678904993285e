"""Tiny-ImageNet: 200 classes, 500 training and 50 validation images of 64 px each, as class tasks.

``train/{wnid}/images/*.JPEG``, ``val/images/*.JPEG`` with ``val/val_annotations.txt``, ``wnids.txt``, ``words.txt``.
The published test images have no labels, so the validation images are tested on.
"""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.class_task import ClassImage, class_task, inner_folder, read_lines
from variad.datasets.interface import Entry
from variad.datasets.listing import images_by_stem
from variad.errors import UserError

FOLDER = "tiny-imagenet-200"


@dataclass(frozen=True)
class TinyImagenet:
    """The unpacked archive; a category is a WordNet id such as ``n01443537``.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """500 training normals, 50 test normals, and test images of the other classes.

        Raises:
            UserError: a file is missing, or the class is unknown.
        """
        home = inner_folder(self.root, FOLDER, "wnids.txt")
        names = [words[0] for words in read_lines(home / "wnids.txt")]
        below = home.relative_to(self.root)
        annotations = home / "val" / "val_annotations.txt"
        images = []
        for words in read_lines(annotations):
            if len(words) < 2 or words[1] not in names:
                raise UserError(f"{annotations}: expected a file and a class of wnids.txt a line, found {words[:2]}.")
            images.append(ClassImage(below / "val/images" / words[0], words[1], "test"))
        if category in names:  # only the normal class trains
            train = images_by_stem(home / "train" / category / "images").values()
            images += [ClassImage(path.relative_to(self.root), category, "train") for path in train]
        return class_task(images, category, self.test_per_class, self.seed)
