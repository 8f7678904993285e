"""Any classification data set with one folder of images a class, ``{root}/{class}/*``, as class tasks."""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.class_task import ClassImage, class_task
from variad.datasets.interface import Entry
from variad.datasets.listing import images_by_stem, subfolders
from variad.errors import UserError
from variad.seeding import numpy_generator


@dataclass(frozen=True)
class ClassFolders:
    """Images of every class, split at random by (seed, class); a category is the name of a folder.

    Attributes:
        train_fraction: part of each class that trains, above 0 and below 1.
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of the split and of which ones.
    """

    root: Path
    train_fraction: float = 0.5
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """Training normals, test normals, and test images of the other classes.

        Raises:
            UserError: the root is missing, the class is unknown, or ``train_fraction`` is out of range.
        """
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected the folder of a data set, found no such folder.")
        if not 0 < self.train_fraction < 1:
            raise UserError(
                f"class data set, train_fraction: expected more than 0 and less than 1, found {self.train_fraction}."
            )
        images = [image for folder in subfolders(self.root) for image in self._of_class(folder)]
        return class_task(images, category, self.test_per_class, self.seed)

    def _of_class(self, folder: Path) -> list[ClassImage]:
        paths = list(images_by_stem(folder).values())
        order = numpy_generator(self.seed, "class_folders", folder.name).permutation(len(paths))
        trains = set(order[: round(self.train_fraction * len(paths))].tolist())
        return [
            ClassImage(path.relative_to(self.root), folder.name, "train" if number in trains else "test")
            for number, path in enumerate(paths)
        ]
