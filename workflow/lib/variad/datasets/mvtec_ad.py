"""MVTec AD: 15 kinds of objects and textures, 5,354 photographs, CC BY-NC-SA 4.0.

Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021. ``{category}/train/good/*.png``,
``{category}/test/{good|defect}/*.png``, ``{category}/ground_truth/{defect}/*_mask.png``.
"""

from dataclasses import dataclass
from pathlib import Path

from variad.datasets.folder import Folder
from variad.datasets.interface import Entry
from variad.datasets.listing import category_folder, expected_images
from variad.errors import UserError

# The group of each category: the first document's tables 6 to 13.
GROUPS = {
    "bottle": "object",
    "cable": "object",
    "capsule": "object",
    "carpet": "texture",
    "grid": "texture",
    "hazelnut": "object",
    "leather": "texture",
    "metal_nut": "object",
    "pill": "object",
    "screw": "object",
    "tile": "texture",
    "toothbrush": "object",
    "transistor": "object",
    "wood": "texture",
    "zipper": "object",
}


@dataclass(frozen=True)
class MvtecAd:
    """The unpacked archive; every test image but the good ones has a mask."""

    root: Path

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test images by folder and name.

        Raises:
            UserError: the category is unknown, a folder or a mask is missing, or a folder is empty.
        """
        home = category_folder(self.root, category, GROUPS, "mvtec_ad")
        expected_images(home / "test" / "good", "good test images")
        entries = [entry for entry in Folder(self.root).entries(category) if entry.split != "unlabelled"]
        for entry in entries:
            if entry.label == 1 and entry.mask_path is None:
                mask = home / "ground_truth" / entry.defect / f"{entry.image_path.stem}_mask.png"
                raise UserError(f"{mask}: expected the mask of {entry.image_path.as_posix()}, found no such file.")
        if all(entry.label == 0 for entry in entries):
            raise UserError(f"{home / 'test'}: expected folders of defects, found none.")
        return entries
