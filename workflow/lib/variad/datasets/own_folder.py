"""A user's own folder of photographs: which files are images, which are masks of which, and which were passed over."""

import json
import os
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

from variad.core.errors import UserError
from variad.core.images import SUFFIXES
from variad.datasets.adapters import SPLITS, Entry, PassedOver, Split, check_file_name, subfolders
from variad.datasets.folder_names import (
    CLUTTER,
    NOT_GOOD_FILE,
    caseless,
    category_home,
    contradicts,
    drawn_from,
    is_folder,
    is_mask,
    is_truth,
    masked_stems,
    meaning,
    nfc,
    own_names,
    parts_of,
)

NO_IMAGE = f"no image ({', '.join(SUFFIXES)})"
LOOSE = "directly in {}, not in a folder such as good"
NO_FILE = "no file (a link that leads nowhere, or a device)"
DRAWN = "drawn from the image beside it, by its name"
NOT_GOOD = "in a folder of train that is not one of good images"
UNUSED = "not in a folder that is used (train, test, ground_truth, unlabelled)"

Key = tuple[str, ...]  # split, folders and stem: an image_id in parts
Above = Set[tuple[int, int]]  # device and number of each folder


@dataclass(frozen=True)
class Folder:
    """A directory in MVTec AD's layout, a user's own or a downloaded one, with images of any size and bit depth.

    ``{root}/{category}/train/good``, and optionally ``test/{good|defect}``, ``ground_truth/{defect}`` and
    ``unlabelled``, each with images in it or in folders below, whose names become part of ``image_id``. A root that
    itself holds ``train`` is one category, named as the folder. Links to folders are followed.

    Good folders may be several, and be called ``ok``, ``normal``, ``pass`` and so on; every other name below ``test``
    is a defect, but names that could be either are asked about. Masks are called as their image, with or without
    ``_mask``, ``_gt``, ``_label`` and the like, in a folder ``ground_truth``, ``gt`` or ``masks``, or beside the image.
    In that folder they lie as the images do, or all together where one image of a defect alone has the name.

    Attributes:
        good, defects: folders that hold good images or show a defect, whatever their names could mean; as seen from
            ``train`` and ``test``, so ``ok-night`` or ``front/0``.
        masks_inverted: as ``inverted`` of ``core.images.read_mask``.
    """

    root: Path
    good: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    masks_inverted: bool | None = None

    def entries(self, category: str) -> list[Entry]:
        """Training normals, then test, then unlabelled images, by folder and name.

        Raises:
            UserError: the root, the category or an image in ``train/good`` is missing, the name of a folder could mean
                good or a defect, an image has two masks, two images have one name, a name cannot be written to a
                table, a folder cannot be read, or a setting names no folder.
        """
        survey = self._survey(category)
        entries = survey.entries()
        if not any(entry.split == "train" for entry in entries):
            raise UserError(survey.without_training_images())
        return entries

    def passed_over(self, category: str) -> list[PassedOver]:
        """Every file below the category's folder that is neither an image nor a mask of ``entries``, and why, by path.

        Raises:
            UserError: as ``entries``, but that training images may be missing.
        """
        return sorted(self._survey(category, whole=True).passed, key=lambda one: one.path)

    def _survey(self, category: str, whole: bool = False) -> "_Survey":
        try:
            survey = _Survey(self.root, self._home(category), self._said())
            survey.look(whole)
        except OSError as error:
            where, found = error.filename or self.root, error.strerror or error
            raise UserError(f"{where}: expected a folder that can be read, found: {found}.") from error
        return survey

    def _home(self, category: str) -> Path:
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected the folder of a data set, found no such folder.")
        if home := category_home(self.root, category):
            return home
        alone = bool(parts_of(self.root)["train"])
        found = own_names(self.root) if alone else [path.name for path in subfolders(self.root)]
        raise UserError(f"{self.root}: expected a folder of category '{category}', found {', '.join(found) or 'none'}.")

    def _said(self) -> dict[str, bool]:
        """Whether a folder's images are good, by the settings."""
        for key, names in (("good", self.good), ("defects", self.defects)):
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise UserError(f"{self.root}, settings.{key}: expected a list of folders' names, found {names!r}.")
        good, defects = set(map(nfc, self.good)), set(map(nfc, self.defects))
        if both := good & defects:
            raise UserError(f"{self.root}, settings: expected {min(both)!r} in good or in defects, found it in both.")
        if called_good := [name for name in sorted(defects) if set(name.split("/")) == {"good"}]:
            raise UserError(f"{self.root}, settings.defects: expected no folder named good, found {called_good[0]!r}.")
        return {**dict.fromkeys(good, True), **dict.fromkeys(defects, False)}


@dataclass
class _Files:
    """The names in one folder, each with the reason why it can be neither an image nor a mask, or none."""

    folder: Path
    names: list[tuple[str, str]] = field(default_factory=list)


def _walk(folder: Path, above: Above, why: str = "", skip: Set[str] = frozenset()) -> Iterator[_Files]:
    """The files of a folder, then those of each folder in it, by name. Links are followed where files are taken.

    Args:
        above: the folders that it lies in, so that a link back to one of them does not go round for ever.
        why: the reason why nothing in it is taken, if there is one.
        skip: folders in it that are left out.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: (nfc(entry.name), entry.name))
        above = {*above, _identity(folder)}
    except OSError:
        if not why:
            raise
        yield _Files(folder.parent, [(folder.name, f"{why}, and cannot be read")])
        return
    here, below = _Files(folder), []
    for entry in entries:
        reason = "hidden" if entry.name[0] == "." else "of the system" if entry.name.lower() in CLUTTER else why
        if is_folder(entry):
            if entry.name in skip:
                continue
            path, link = Path(entry.path), entry.is_symlink()
            back = link and not reason and _identity(path) in above
            if back or (link and reason):
                here.names.append((entry.name, reason or "a link back to a folder that it lies in"))
            else:
                below.append((path, reason))
        else:
            here.names.append((entry.name, reason or _fault(entry)))
    yield here
    for path, reason in below:
        yield from _walk(path, above, reason)


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _fault(entry: os.DirEntry[str]) -> str:
    if Path(entry.name).suffix.lower() not in SUFFIXES:
        return NO_IMAGE
    try:
        return "" if entry.is_file() else NO_FILE
    except OSError:
        return NO_FILE


@dataclass(frozen=True)
class _Mask:
    """A file that is a mask by its name or place, and what its image may be called, the likeliest first."""

    path: Path
    keys: list[Key]


def _is_near(mask: Key, image: Key) -> bool:
    """Whether a mask called as the image lies where all masks are, or beside the folder ``images`` of that image."""
    of, lies = ({caseless(name) for name in key[1:-1]} for key in (mask, image))
    of -= {"test"}
    return mask[0] == image[0] and of <= lies and (not of or lies - of <= {"image", "images", "img", "imgs"})


class _Survey:
    """What was found below a category's folder; paths are relative to the data set's root."""

    def __init__(self, root: Path, home: Path, said: dict[str, bool]) -> None:
        self.root, self.home, self.said = root, home, said
        self.images: dict[Key, Entry] = {}
        self.masks: list[_Mask] = []
        self.passed: list[PassedOver] = []
        self._seen: set[str] = set()  # folders below train and test, as settings name them
        self._unclear: dict[str, str] = {}  # below which of the two

    def look(self, whole: bool) -> None:
        """Take the images and masks; ``whole`` lists the files of folders that are not used as well."""
        parts = parts_of(self.home)
        ways = (self.home, *self.home.absolute().parents, *self.home.resolve().parents)
        above = {_identity(folder) for folder in ways}
        for part in (*SPLITS, "truth"):
            for top in parts[part]:
                for files in _walk(top, above):
                    self._pass_over(files)
                    dirs = tuple(map(nfc, files.folder.relative_to(top).parts))
                    self._look_into(part, dirs, files.folder, [name for name, why in files.names if not why])
        self._check_settings()
        self._check_names()
        self._match_masks()
        if whole:
            used = {top.name for part in (*SPLITS, "truth") for top in parts[part]}
            for files in _walk(self.home, set(), UNUSED, used):
                self._pass_over(files)
            objections = PassedOver(self.home.relative_to(self.root) / NOT_GOOD_FILE, UNUSED)
            # it is used, in its own way: what it says is told line by line
            self.passed = [replace(one, reason="") if one == objections else one for one in self.passed]

    def _pass_over(self, files: _Files) -> None:
        below = files.folder.relative_to(self.root)
        self.passed += [PassedOver(below / name, why) for name, why in files.names if why]

    def _look_into(self, part: str, dirs: Key, folder: Path, names: list[str]) -> None:
        """Take the images and masks of one folder, which lies ``dirs`` below the folder of a split or of masks."""
        below = list(accumulate(dirs, "{}/{}".format))
        self._seen.update(below if part in ("train", "test") else ())
        if not names:
            return
        for name in (*dirs, *names):
            check_file_name(folder, name)
        split: Split = "test" if part == "truth" else part  # type: ignore[assignment]
        paths = [folder.relative_to(self.root) / name for name in names]
        inner = tuple(name for name, path in zip(dirs, below, strict=True) if path in self.said or not is_truth(name))
        if part == "truth" or inner != dirs:
            for path in paths:
                stems = (path.stem, *masked_stems(path.stem, among_masks=True))
                self.masks.append(_Mask(path, [(split, *(dirs if part == "truth" else inner), stem) for stem in stems]))
        elif part != "unlabelled" and not dirs:
            self.passed += [PassedOver(path, LOOSE.format(part)) for path in paths]
        else:
            defect = "" if part == "unlabelled" else self._defect(part, dirs, below)
            if part == "train" and defect != "good":
                self.passed += [PassedOver(path, NOT_GOOD) for path in paths]
            else:
                self._take(split, defect, dirs, paths)

    def _take(self, split: Split, defect: str, dirs: Key, paths: list[Path]) -> None:
        """Tell the images of a folder from the masks that lie beside them."""
        sure = {path for path in paths if is_mask(path.stem, defect not in ("", "good"))}
        stems = {caseless(path.stem) for path in paths if path not in sure}
        called = "/".join(dirs)
        for path in paths:
            if caseless(drawn_from(path.stem)) in stems:
                self.passed.append(PassedOver(path, DRAWN))
                continue
            of = masked_stems(path.stem)
            if path in sure or any(caseless(stem) in stems for stem in of):
                self.masks.append(_Mask(path, [(split, *dirs, stem) for stem in of]))
                continue
            entry = Entry(split, defect, path, folder="" if called == defect else called)
            if (other := self.images.setdefault((split, *dirs, nfc(path.stem)), entry)) is not entry:
                raise UserError(f"{self.root / path.parent}: expected one image a stem, found {_two(other, path)}.")

    def _defect(self, part: str, dirs: Key, below: list[str]) -> str:
        """``good``, or the name of the folder that says otherwise: below ``train`` or ``test``, or in a setting."""
        found = ""
        for name, path in zip(dirs, below, strict=True):
            if path in self.said:
                found = "good" if self.said[path] else [part for part in path.split("/") if part != "good"][-1]
            elif contradicts(name, found == "good") if found else meaning(name) == "either":
                self._unclear.setdefault(path, part)
            found = found or ("good" if meaning(name) == "good" else name)
        return found

    def _check_settings(self) -> None:
        if self._unclear:
            found = ", ".join(f"{path!r} in {part}" for path, part in self._unclear.items())
            answer = f"[{json.dumps(next(iter(self._unclear)), ensure_ascii=False)}]"
            raise UserError(
                f"{self.home}: expected folders whose names say whether their images are good, found {found}, which "
                f"could be either; say it in the data set's settings, as good: {answer} or as defects: {answer}."
            )
        others = [part for path in subfolders(self.root) for part in subfolders(path)]
        for name in self.said:
            if name not in self._seen and not any((part / name).is_dir() for part in others):
                raise UserError(
                    f"{self.home}: expected folders below train or test in the data set's settings good and defects, "
                    f"found {name!r}, which there is not."
                )

    def _check_names(self) -> None:
        # an image_id is a path, of maps as of masks in HDF5: nothing can lie below a name that is an image's
        folders = {key[:depth] for key in self.images for depth in range(2, len(key))}
        for key in sorted(folders & self.images.keys())[:1]:
            path = self.root / self.images[key].image_path
            raise UserError(f"{path}: expected another name than that of a folder beside it, found folder {key[-1]}.")

    def _match_masks(self) -> None:
        alike: dict[Key, list[Key]] = {}
        for key in self.images:
            alike.setdefault(tuple(map(caseless, key)), []).append(key)
        loose = []
        for mask in self.masks:
            keys = [tuple(map(nfc, key)) for key in mask.keys]
            folds = [alike.get(tuple(map(caseless, key)), []) for key in keys]
            found = [key for key in keys if key in self.images] + [fold[0] for fold in folds if len(fold) == 1]
            if found:
                self._give(mask, found[0])
            else:
                loose.append(mask)
        named: dict[str, list[Key]] = {}
        for key, entry in self.images.items():
            if entry.label == 1:
                named.setdefault(caseless(key[-1]), []).append(key)
        taken = {key for key in self.images if self.images[key].mask_path is not None}
        for mask in loose:
            by_name = ([key for key in named.get(caseless(name[-1]), []) if _is_near(name, key)] for name in mask.keys)
            near = next(filter(None, by_name), [])
            if len(near) == 1 and near[0] not in taken:
                self._give(mask, near[0])
            else:
                what = "mask of one of several images" if len(near) > 1 else "mask without image"
                self.passed.append(PassedOver(mask.path, what))

    def _give(self, mask: _Mask, key: Key) -> None:
        """Give a mask to an image, if it shows a defect."""
        entry = self.images[key]
        if entry.label != 1:
            what = "a good image" if entry.label == 0 else "an image without label"
            self.passed.append(PassedOver(mask.path, f"mask of {what}"))
        elif entry.mask_path is not None:
            two = f"{entry.mask_path} and {mask.path}"
            raise UserError(f"{self.root / entry.image_path}: expected one mask of this image, found {two}.")
        else:
            self.images[key] = replace(entry, mask_path=mask.path)

    def entries(self) -> list[Entry]:
        return list(self.images.values())

    def without_training_images(self) -> str:
        """Why there are no training images, as far as can be told."""
        tops = parts_of(self.home)["train"]
        named = [path for top in tops for path in subfolders(top)]
        good = [path for path in named if self.said.get(nfc(path.name), meaning(path.name) == "good")]
        where = good[0] if good else (tops[0] if tops else self.home / "train") / "good"
        found = "none" if good else "no such folder"
        inside = [one for one in self.passed if any((self.root / one.path).is_relative_to(path) for path in good)]
        if inside:
            found += f" but {inside[0]}" + (f", and {len(inside) - 1} more" if len(inside) > 1 else "")
        elif not tops:
            folders = ", ".join(path.name for path in subfolders(self.home))
            found += f"; {self.home.name} holds {f'the folders {folders}' if folders else 'no folder'}"
        elif not good:
            holds = (
                "images themselves" if any(one.reason == LOOSE.format("train") for one in self.passed) else "nothing"
            )
            if named:
                folders = ", ".join(path.name for path in named)
                holds = f"the folders {folders} (settings.good names those of good images)"
            found += f"; train holds {holds}"
        return f"{where}: expected normal images ({', '.join(SUFFIXES)}), found {found}."


def _two(other: Entry, path: Path) -> str:
    if other.image_path.parent != path.parent:
        return f"{other.image_path} and {path}"
    names = (other.image_path.name, path.name)
    # the same letters written in two ways look the same
    return " and ".join(ascii(name) if nfc(names[0]) == nfc(names[1]) else name for name in names)
