"""A directory in MVTec AD's layout, a user's own or a downloaded one.

``{root}/{category}/train/good/*``, optional ``test/{good|defect}/*``, ``ground_truth/{defect}/{stem}_mask.png`` (or
``{stem}.png``), ``unlabelled/*``. A root that itself holds ``train/good`` is one category, named as the folder.
"""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.interface import Entry, Split
from variad.datasets.listing import expected_images, images_by_stem, subfolders
from variad.errors import UserError


@dataclass(frozen=True)
class Folder:
    """Images of any size and bit depth below ``root``; hidden files and files of other types are passed over."""

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test, then unlabelled images, by folder and name.

        Raises:
            UserError: the root or the category is missing, ``train/good`` holds no image, two images of one folder
                have the same stem, or a name cannot be written to a table.
        """
        home = self._home(category)
        expected_images(home / "train" / "good", "normal images")
        train = self._folder_entries("train", "good", home / "train" / "good")
        test = [
            entry
            for folder in subfolders(home / "test")
            for entry in self._folder_entries("test", folder.name, folder, home / "ground_truth" / folder.name)
        ]
        return [*train, *test, *self._folder_entries("unlabelled", "", home / "unlabelled")]

    def _home(self, category: str) -> Path:
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected the folder of a data set, found no such folder.")
        if (self.root / category).is_dir():
            return self.root / category
        alone = (self.root / "train" / "good").is_dir()
        if alone and category == self.root.resolve().name:
            return self.root
        found = [self.root.resolve().name] if alone else [path.name for path in subfolders(self.root)]
        raise UserError(f"{self.root}: expected a folder of category '{category}', found {', '.join(found) or 'none'}.")

    def _folder_entries(self, split: Split, defect: str, folder: Path, truth: Path | None = None) -> list[Entry]:
        masks = {} if truth is None or defect == "good" else images_by_stem(truth)
        entries = []
        for stem, path in images_by_stem(folder).items():
            mask = masks.get(f"{stem}_mask", masks.get(stem))
            entries.append(
                Entry(split, defect, path.relative_to(self.root), mask.relative_to(self.root) if mask else None)
            )
        return entries


def category_folders(root: str | Path, category: str) -> list[Path]:
    """The folders that hold a category's images and masks. Their times change when a file is added or taken away.

    A category that is not there has none; ``Folder.entries`` says what is wrong.
    """
    home = Path(root) / category if (Path(root) / category).is_dir() else Path(root)
    leaves = [home / "train" / "good", home / "unlabelled"]
    leaves += [folder for parent in ("test", "ground_truth") for folder in subfolders(home / parent)]
    return [folder for folder in leaves if folder.is_dir()]
