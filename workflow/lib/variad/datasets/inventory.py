"""What every file of a category is used for, or why not: a table, and the sentences that a person reads.

Nothing that lies in a user's folders is dropped in silence. Reading the table needs no pandas: the sentences are
printed by Snakemake's own process at the end of a run.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from variad.core.errors import UserError
from variad.core.images import mask_files, read_mask, read_notes
from variad.datasets.adapters import Dataset, passed_over_of, shown
from variad.datasets.folder_names import NOT_GOOD_FILE
from variad.datasets.pool import matches, with_copies

NO_MASK = "a defect without a mask: pixel metrics leave it out"
UNREADABLE = "a damaged file, or no image"
OF_GOOD = "mask of a good image"
MARKS = "though it marks a defect"
TURNED = "its mask is taken as drawn on the upright image"
OBJECTED = f"no candidate for training, as {NOT_GOOD_FILE} names it"
OBJECTED_COPY = f"no candidate for training, as {NOT_GOOD_FILE} names the same file"
NAMES_NOTHING = "a line that names no unlabelled photograph"
OF_POOL = "mask of an image that counts as unlabelled"
COPY = "the same file as "
SHOWN = 8  # files of one remark on the terminal; the table has them all
Row = dict[str, str]


def take_inventory(
    dataset: Dataset, category: str, images: Iterable[Mapping[str, Any]], not_good: Iterable[str] = ()
) -> list[Row]:
    """Rows of the schema ``inventory``: images with their masks by split, then the files that nothing uses.

    Args:
        images: rows of the manifests of every split, training images first.
        not_good: lines of a ``not_good.txt``; those that name nothing have a row each.

    Raises:
        UserError: an image can no longer be read.
    """
    images = list(images)
    has_masks = any(image["mask_path"] for image in images)
    unlabelled = [image for image in images if image["split"] == "unlabelled"]
    objections = matches(not_good, {image["image_id"]: image["image_path"] for image in unlabelled})
    named = {image_id for found in objections.values() for image_id in found}
    objected = with_copies(named, {image["image_id"]: image["sha256"] for image in unlabelled})
    first: dict[str, str] = {}
    rows = []
    for image in images:
        remarks = read_notes(dataset.root / image["image_path"])
        if image["mask_path"] and any("turned upright" in remark for remark in remarks):
            remarks.append(TURNED)
        if image["split"] == "test" and image["label"] == 1 and not image["mask_path"] and has_masks:
            remarks.append(NO_MASK)
        if image["image_id"] in objected:
            remarks.append(OBJECTED if image["image_id"] in named else OBJECTED_COPY)
        known = first.setdefault(image["sha256"], image["image_id"])
        if known != image["image_id"]:
            remarks.append(f"{COPY}{known}")  # the last, as a name may hold anything
        place = {"split": image["split"], "defect": image["defect"], "image_id": image["image_id"]}
        rows.append({"path": image["image_path"], "used_as": "image", **place, "remark": "; ".join(remarks)})
        for mask in mask_files(dataset.root / image["mask_path"]) if image["mask_path"] else []:
            path = mask.relative_to(dataset.root).as_posix()
            rows.append({"path": path, "used_as": "mask", **place, "remark": ""})
    unused = [(Path(other.path), other.reason) for other in passed_over_of(dataset, category)]
    taken = {image["image_path"] for image in images}
    entries = dataset.entries(category)
    unused += [(entry.image_path, UNREADABLE) for entry in entries if entry.image_path.as_posix() not in taken]
    unused += [
        (mask.relative_to(dataset.root), OF_POOL)
        for entry in entries
        if entry.split == "unlabelled" and entry.mask_path is not None
        for mask in mask_files(dataset.root / entry.mask_path)
    ]
    nowhere = {"used_as": "nothing", "split": "", "defect": "", "image_id": ""}
    for file, reason in unused:
        remark = f"{reason}, {MARKS}" if reason == OF_GOOD and _marks(dataset.root / file) else reason
        rows.append({"path": file.as_posix(), **nowhere, "remark": remark})
    for line in (line for line, found in objections.items() if not found):
        path = f"{NOT_GOOD_FILE}: {shown(Path(line))}"
        rows.append({"path": path, **nowhere, "split": "unlabelled", "remark": NAMES_NOTHING})
    return rows


def _marks(mask: Path) -> bool:
    try:
        return bool(read_mask(mask).any())
    except UserError:  # one that nobody can read marks nothing that anybody knows of
        return False


def also_tested(inventory: str | Path) -> set[str]:
    """Unlabelled images whose files are test images too: who trains on them knows the test."""
    with open(inventory, encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "unlabelled"]
    return {row["image_id"] for row in rows if row["remark"].partition(COPY)[2].startswith("test/")}


def sentences_of(inventory: str | Path, packed: Iterable[str | Path] = (), unlabelled: bool = True) -> Iterator[str]:
    """What an inventory says, in one line of counts and one for each remark, with the files that it is about.

    Args:
        packed: every ``images.h5`` that there is, for the warnings that packing left in it.
        unlabelled: whether to speak of unlabelled images, on which figures rest only where a recipe chooses some.
    """
    with open(inventory, encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if unlabelled or row["split"] != "unlabelled"]
    images = [row for row in rows if row["used_as"] == "image"]
    count = Counter((row["split"], row["defect"] == "good") for row in images)
    masked = len({row["image_id"] for row in rows if row["used_as"] == "mask"})
    good, defects = count["test", True], count["test", False]
    known = [row["defect"] == "good" for row in images if row["split"] == "unlabelled" and row["defect"]]
    tested = f"to test on {good} good and {defects} with defects, {masked} of these with masks"
    rest = f"; {count['unlabelled', True] + count['unlabelled', False]} unlabelled" if unlabelled else ""
    if known:
        rest += f" ({sum(known)} of them good and {len(known) - sum(known)} with defects, as the reports alone know)"
    yield f"{count['train', True]} training images; {tested}{rest}"
    if not (good and defects):
        why = f"all test images are {'good' if good else 'defects'}" if good + defects else "there are no test images"
        yield f"no image AUROC: {why}"
    about = defaultdict(list)
    for row in rows:
        unused = row["used_as"] == "nothing"
        own, copied, other = (row["remark"], "", "") if unused else row["remark"].partition(COPY)
        for remark in filter(None, [own] if unused else own.split("; ")):
            about[unused, remark].append(row["path"])
        if copied:
            about[unused, "the same file as another"].append(f"{row['path']} = {other}")
    for (unused, remark), paths in sorted(about.items(), reverse=True):
        more = f" and {len(paths) - SHOWN} more in {Path(inventory).name}" if len(paths) > SHOWN else ""
        what = "line" if remark == NAMES_NOTHING else "file"
        files = f"1 {what}" if len(paths) == 1 else f"{len(paths)} {what}s"
        yield f"{files} {'not used' if unused else 'used'} ({remark}): {', '.join(paths[:SHOWN])}{more}"
    for path in packed:
        try:
            with h5py.File(path) as file:
                warnings = json.loads(file.attrs["warnings"])
        except (OSError, RuntimeError, KeyError, ValueError):  # whoever reads the images removes it
            warnings = [f"{path} is damaged"]
        yield from (f"{Path(path).parent.name}: {warning}" for warning in warnings)
