"""The gallery once more with smaller pictures, for a report that is to be handed on."""

import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image

from variad.core.files import checksums_path, scratch_folder
from variad.report.markup import no_page_yet
from variad.report.pages import BRANCHES

# Pixels that a side has at most, by folder of a category's page; a map is hardly sharper than its detector's patches.
SIDES = {"images": 160, "added": 160, "maps": 64}
QUALITY = 70
LEFT_OUT = ("contents.txt", "card.json")  # what only the workflow reads


def copy_gallery(target: str | Path, index: str | Path, pages: Iterable[str | Path]) -> None:
    """Copy the gallery's first page and its categories' with smaller pictures; of other targets' pages nothing.

    Args:
        target: the folder to make, whole once it is there.
        index: the first page.
        pages: folders of the categories' pages, which lie below that of ``index`` as ``{dataset}/{category}``.
    """
    index = Path(index)
    with scratch_folder(target) as scratch:
        folder = scratch / "gallery"
        folder.mkdir()
        shutil.copyfile(index, folder / index.name)
        for name in BRANCHES:
            _link_nothing(folder / f"{name}.js")
        for page in map(Path, pages):
            copy = folder / page.relative_to(index.parent)
            _copy_page(copy, page)
            _link_nothing(copy.with_name(f"{page.name}.predictions.js"))
        if Path(target).exists():
            shutil.rmtree(target)
        folder.rename(target)


def _link_nothing(link: Path) -> None:
    """Write a script that links no page; a copy has no record of checksums."""
    no_page_yet(link)
    checksums_path(link).unlink(missing_ok=True)


def _copy_page(target: Path, page: Path) -> None:
    target.mkdir(parents=True)
    for path in sorted(page.rglob("*")):
        place = path.relative_to(page)
        if path.is_dir():
            (target / place).mkdir()
        elif path.suffix == ".jpg":
            (target / place).write_bytes(smaller(path, SIDES[place.parts[0]]))
        elif place.name not in LEFT_OUT and not place.name.startswith("."):
            shutil.copyfile(path, target / place)


def smaller(path: str | Path, side: int) -> bytes:
    """A JPEG of at most ``side`` pixels a side, in fewer bytes than the one at ``path``, if that can be."""
    stream = BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
        picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    before = Path(path).read_bytes()
    return min(stream.getvalue(), before, key=len)
