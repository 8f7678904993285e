"""Small folders as people have them, with what becomes of every file, written by hand.

Paths are below the category's folder ``lid``. What a case does not list as an image or a mask must be passed over, for
the reason given. ``build`` writes them, images with 1 x 1 to 8 x 8 pixels.
"""

import unicodedata
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

NFD = unicodedata.normalize("NFD", "Schlüssel")
NFC = unicodedata.normalize("NFC", "Schlüssel")
LONG = "x" * 240
NO_IMAGE = "no image (.png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp)"
UNUSED = "not in a folder that is used (train, test, ground_truth, unlabelled)"
NOT_GOOD = "in a folder of train that is not one of good images"
ORPHAN = "mask without image"


@dataclass(frozen=True)
class OddFolder:
    """One category's folder.

    Attributes:
        images: path of each image, in the order of entries: (image_id, defect, path of its mask or empty).
        passed: path of each other file: the reason. Unnamed are the masks of ``images``.
        links: path of a link: what it leads to.
        followed: of ``images`` those that lie behind a link, and are not to be written.
        settings: of the adapter.
    """

    name: str
    images: dict[str, tuple[str, str, str]]
    passed: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    followed: tuple[str, ...] = ()
    settings: dict[str, tuple[str, ...]] = field(default_factory=dict)


TRAIN = {"train/good/1.png": ("train/good/1", "good", "")}

ODD_FOLDERS = [
    OddFolder(
        "ok_and_ng",
        {
            "train/OK/1.png": ("train/OK/1", "good", ""),
            "test/NG/1.png": ("test/NG/1", "NG", "ground_truth/ng/1_mask.png"),
            "test/OK/1.png": ("test/OK/1", "good", ""),
        },
    ),
    OddFolder(
        "several_good_folders",
        {
            **TRAIN,
            "train/ok/1.png": ("train/ok/1", "good", ""),
            "test/Defect-Free/3.png": ("test/Defect-Free/3", "good", ""),
            "test/Good/1.png": ("test/Good/1", "good", ""),
            "test/bad/1.png": ("test/bad/1", "bad", ""),
            "test/good/1.png": ("test/good/1", "good", ""),
            "test/i.O./9.png": ("test/i.O./9", "good", ""),
        },
        {"train/ng/1.png": NOT_GOOD, "train/scratch/deep/1.png": NOT_GOOD},
    ),
    OddFolder(
        "nested",
        {
            **TRAIN,
            "train/good/monday/020.png": ("train/good/monday/020", "good", ""),
            "train/good/monday/early/1.png": ("train/good/monday/early/1", "good", ""),
            "test/good/2/1.png": ("test/good/2/1", "good", ""),
            "test/scratch/1.png": ("test/scratch/1", "scratch", "ground_truth/scratch/1.png"),
            "test/scratch/front/1.png": ("test/scratch/front/1", "scratch", "ground_truth/scratch/front/1_mask.png"),
            "test/scratch/rear/1.png": ("test/scratch/rear/1", "scratch", "test/scratch/rear/1_mask.png"),
            "unlabelled/1.png": ("unlabelled/1", "", ""),
            "unlabelled/line 2/monday/1.png": ("unlabelled/line 2/monday/1", "", ""),
        },
        {"ground_truth/scratch/side/1_mask.png": ORPHAN},
    ),
    OddFolder(
        "names_of_masks",
        {
            **TRAIN,
            "test/cut/a.png": ("test/cut/a", "cut", "GT/cut/a.bmp"),
            "test/cut/b.png": ("test/cut/b", "cut", "GT/cut/b_mask.PNG"),
            "test/cut/c.png": ("test/cut/c", "cut", "GT/cut/c-Mask.tif"),
            "test/cut/d.png": ("test/cut/d", "cut", "GT/cut/d_gt.png"),
            "test/cut/e.png": ("test/cut/e", "cut", "GT/cut/e_label.jpg"),
            "test/cut/f.png": ("test/cut/f", "cut", "GT/cut/f_labels.png"),
            "test/cut/g.png": ("test/cut/g", "cut", "GT/cut/g_seg.png"),
            "test/cut/h.png": ("test/cut/h", "cut", "GT/cut/h_masks.png"),
            "test/cut/i.png": ("test/cut/i", "cut", "GT/cut/i.mask.png"),
            "test/cut/j.png": ("test/cut/j", "cut", "GT/cut/j_ground_truth.png"),
            "test/cut/k.png": ("test/cut/k", "cut", "GT/cut/mask_k.png"),
            "test/cut/l.png": ("test/cut/l", "cut", "GT/cut/L_MASK.png"),
            "test/cut/m.png": ("test/cut/m", "cut", "GT/cut/m_mask_0.png"),
            "test/cut/n1.png": ("test/cut/n1", "cut", "GT/cut/n1mask.png"),
            "test/cut/o_mask_p.png": ("test/cut/o_mask_p", "cut", "GT/cut/o_mask_p_mask.png"),
            "test/cut/q.png": ("test/cut/q", "cut", ""),
        },
        {"GT/cut/q_msk.png": ORPHAN, "GT/cut/r_mask.png": ORPHAN, "GT/a_mask.png": ORPHAN, "GT/dent/a.png": ORPHAN},
    ),
    OddFolder(
        "masks_all_together",
        {
            **TRAIN,
            "test/cut/1.png": ("test/cut/1", "cut", "masks/test/cut/1.png"),
            "test/cut/2.png": ("test/cut/2", "cut", "masks/2.png"),
            "test/cut/3.jpg": ("test/cut/3", "cut", "masks/3.jpg.png"),
            "test/cut/4.png": ("test/cut/4", "cut", ""),
            "test/dent/4.png": ("test/dent/4", "dent", ""),
            "test/dent/5.png": ("test/dent/5", "dent", "masks/dent/5.png_mask.png"),
            "test/dent/deep/6.png": ("test/dent/deep/6", "dent", ""),
            "test/good/2.png": ("test/good/2", "good", ""),
            "test/hole/images/1.png": ("test/hole/images/1", "hole", "test/hole/masks/1.png"),
        },
        {
            "masks/1.png": "mask of one of several images",
            "masks/4.png": "mask of one of several images",
            "masks/5_mask.png": ORPHAN,  # its image has one
            "masks/cut/5.png": ORPHAN,
            "masks/dent/6.png": ORPHAN,
        },
    ),
    OddFolder(
        "upper_and_lower_case",
        {
            **TRAIN,
            "test/cut/A.png": ("test/cut/A", "cut", "masks/cut/A_mask.png"),
            "test/cut/B.png": ("test/cut/B", "cut", "masks/cut/b_mask.png"),
            "test/cut/C.png": ("test/cut/C", "cut", ""),
            "test/cut/a.png": ("test/cut/a", "cut", "masks/cut/a_mask.png"),
            "test/cut/c.png": ("test/cut/c", "cut", "masks/cut/c_Mask.png"),
        },
    ),
    OddFolder(
        "masks_beside_images",
        {
            **TRAIN,
            "test/cut/1.png": ("test/cut/1", "cut", "test/cut/1_mask.png"),
            "test/cut/2.jpg": ("test/cut/2", "cut", "test/cut/2-gt.png"),
            "test/cut/3.png": ("test/cut/3", "cut", "test/cut/Masks/3.png"),
            "test/cut/4.png": ("test/cut/4", "cut", "test/ground_truth/cut/4_mask.png"),
            "test/cut/5.png": ("test/cut/5", "cut", "test/cut/label_5.png"),
            "test/cut/6.png": ("test/cut/6", "cut", "test/cut/6mask.png"),
            "test/cut/7.png": ("test/cut/7", "cut", "test/cut/7_mask (2).png"),
            "test/cut/wood_preview.png": ("test/cut/wood_preview", "cut", ""),
        },
        {
            "test/cut/1_overlay.png": "drawn from the image beside it, by its name",
            "test/cut/2-Heatmap.jpg": "drawn from the image beside it, by its name",
            "test/cut/8_mask.png": ORPHAN,
            "test/cut/9_label.png": ORPHAN,
            "test/Masks/cut/10.png": ORPHAN,
        },
    ),
    OddFolder(
        "masks_of_what_is_no_defect",
        {**TRAIN, "test/good/1.png": ("test/good/1", "good", ""), "unlabelled/1.png": ("unlabelled/1", "", "")},
        {
            "train/good/1_mask.png": "mask of a good image",
            "train/good/masks/1.png": "mask of a good image",
            "test/good/1_mask.png": "mask of a good image",
            "ground_truth/good/1.png": "mask of a good image",
            "unlabelled/1_mask.png": "mask of an image without label",
            "unlabelled/2_mask.png": ORPHAN,
            "test/good/2_mask.png": ORPHAN,
        },
    ),
    OddFolder(
        "photographs_of_masks_and_labels",
        {
            "train/good/gt_7.png": ("train/good/gt_7", "good", ""),
            "train/good/mask_001.png": ("train/good/mask_001", "good", ""),
            "train/good/twice.png": ("train/good/twice", "good", ""),
            "train/good/twice.png.png": ("train/good/twice.png", "good", ""),
            "train/good/wine_label.png": ("train/good/wine_label", "good", ""),
            "test/torn/face_mask_001.png": ("test/torn/face_mask_001", "torn", "mask/torn/face_mask_001_mask.png"),
            "test/torn/mask_001.png": ("test/torn/mask_001", "torn", "mask/torn/mask_001.png"),
        },
    ),
    OddFolder(
        "files_that_are_not_used",
        {**TRAIN, "test/good/1.png": ("test/good/1", "good", "")},
        {
            "1.png": UNUSED,
            ".1.png": "hidden",
            "notes.txt": UNUSED,
            "val/good/1.png": UNUSED,
            "val/.git/1": "hidden",
            ".cache/a/1.png": "hidden",
            "train/1.png": "directly in train, not in a folder such as good",
            "train/notes.txt": NO_IMAGE,
            "test/1.png": "directly in test, not in a folder such as good",
            "train/good/._1.png": "hidden",
            "train/good/.trash/1.png": "hidden",
            "train/good/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": "of the system",
            "train/good/Thumbs.db": NO_IMAGE,
            "train/good/2.gif": NO_IMAGE,
            "train/good/png": NO_IMAGE,
            "test/unsorted/list.csv": NO_IMAGE,  # nothing in it asks what it means
            "ground_truth/cut/readme.md": NO_IMAGE,
        },
    ),
    OddFolder(
        "one_name_in_two_forms",
        {
            **TRAIN,
            f"test/{NFC}/{NFC}_0.png": (f"test/{NFC}/{NFC}_0", NFC, f"ground_truth/{NFD}/{NFD}_0_mask.png"),
            f"test/{NFC}/{NFD}_1.png": (f"test/{NFC}/{NFC}_1", NFC, f"ground_truth/{NFD}/{NFC}_1_mask.png"),
        },
    ),
    OddFolder(
        "names_with_signs",
        {
            **TRAIN,
            f"train/good/{LONG}.png": (f"train/good/{LONG}", "good", ""),
            "test/sc#ratch %41/-a#1 & {b}?.png": (
                *("test/sc#ratch %41/-a#1 & {b}?", "sc#ratch %41"),
                "ground_truth/sc#ratch %41/-a#1 & {b}?_mask.png",
            ),
            "test/sc#ratch %41/new\u2028line.v2.png": ("test/sc#ratch %41/new\u2028line.v2", "sc#ratch %41", ""),
            f"unlabelled/{LONG}.png": (f"unlabelled/{LONG}", "", ""),
        },
    ),
    OddFolder(
        "links",
        {
            **TRAIN,
            "train/good/2.png": ("train/good/2", "good", ""),
            "train/good/week/1.png": ("train/good/week/1", "good", ""),
            "test/cut/1.png": ("test/cut/1", "cut", "ground_truth/cut/1.png"),
        },
        {
            "store/monday/1.png": UNUSED,
            "val": UNUSED,
            "train/good/again": "a link back to a folder that it lies in",
            "train/good/home": "a link back to a folder that it lies in",
            "train/good/lost.png": "no file (a link that leads nowhere, or a device)",
            "train/good/round.png": "no file (a link that leads nowhere, or a device)",
        },
        {
            "train/good/2.png": "../../store/monday/1.png",
            "train/good/week": "../../store/monday",
            "train/good/again": "../good",
            "train/good/home": "../..",
            "train/good/lost.png": "nowhere.png",
            "train/good/round.png": "round.png",
            "val": "/",
        },
        ("train/good/2.png", "train/good/week/1.png"),
    ),
    OddFolder(
        "settings_say_what_names_mean",
        {
            "train/0/1.png": ("train/0/1", "good", ""),
            "train/good_2/1.png": ("train/good_2/1", "good", ""),
            "test/0/1.png": ("test/0/1", "good", ""),
            "test/1/1.png": ("test/1/1", "1", "ground_truth/1/1.png"),
            "test/front/cut/1.png": ("test/front/cut/1", "cut", ""),
            "test/front/ok/1.png": ("test/front/ok/1", "good", ""),
            "test/good/rework/1.png": ("test/good/rework/1", "rework", ""),
            "test/mask/1.png": ("test/mask/1", "mask", ""),
        },
        {"train/1/1.png": NOT_GOOD},
        settings={"good": ("0", "good_2", "front/ok"), "defects": ("1", "front/cut", "good/rework", "mask")},
    ),
    OddFolder(
        "folders_of_splits",
        {
            "TRAIN/Good/1.png": ("train/Good/1", "good", ""),
            "Test/Normal/1.png": ("test/Normal/1", "good", ""),
            "Test/cut/1.png": ("test/cut/1", "cut", "Ground Truth/Cut/1.png"),
            "unlabeled/1.png": ("unlabelled/1", "", ""),
        },
    ),
]


def build(folder: OddFolder, root: Path) -> Path:
    """Write a folder as category ``lid`` of a data set at ``root``, which is given back."""
    masks = [mask for _, _, mask in folder.images.values() if mask]
    written = [
        name for name in (*folder.images, *masks, *folder.passed) if name not in (*folder.links, *folder.followed)
    ]
    for number, name in enumerate(written):
        write(root / "lid" / name, 1 + number % 8)
    for name, target in folder.links.items():
        (root / "lid" / name).symlink_to(target)
    return root


def write(path: Path, side: int = 1) -> None:
    """A grey image of ``side`` x ``side`` pixels, or some bytes where the name is no image's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".tif": "TIFF", ".bmp": "BMP"}.get(path.suffix.lower(), "PNG")
    content = BytesIO()
    Image.new("L", (side, side), 255).save(content, kind)
    path.write_bytes(content.getvalue() if path.suffix.lower() in (".png", ".jpg", ".tif", ".bmp") else b"nothing")
