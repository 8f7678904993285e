"""CUB-200-2011: 11,788 photographs of 200 kinds of birds, as class tasks.

Source: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011. ``images/{class}/*.jpg`` and the text files
``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt`` (1 trains), ``classes.txt``, all by number.
"""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.class_task import ClassImage, class_task, inner_folder, read_lines
from variad.datasets.interface import Entry
from variad.errors import UserError

FOLDER = "CUB_200_2011"


@dataclass(frozen=True)
class Cub:
    """The unpacked archive; a category is a class such as ``001.Black_footed_Albatross``.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """About 30 training normals, as many test normals, and the test images of the other classes.

        Raises:
            UserError: a file is missing or they contradict each other, or the class is unknown.
        """
        home = inner_folder(self.root, FOLDER, "images.txt")
        paths, classes, labels, trains = (
            dict(_pairs(home / name))
            for name in ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt")
        )
        below = home.relative_to(self.root) / "images"
        images = []
        for number, path in paths.items():
            label = labels.get(number, "")
            if label not in classes or trains.get(number) not in ("0", "1"):
                raise UserError(f"{home}: expected the class and the split of image {number}, found none.")
            images.append(ClassImage(below / path, classes[label], "train" if trains[number] == "1" else "test"))
        return class_task(images, category, self.test_per_class, self.seed)


def _pairs(path: Path) -> list[tuple[str, str]]:
    lines = read_lines(path)
    for words in lines:
        if len(words) != 2:
            raise UserError(f"{path}: expected a number and a value a line, found '{' '.join(words)}'.")
    return [(words[0], words[1]) for words in lines]
