"""Where unlabelled candidates come from: a pile that nobody has sorted, or one drawn from images that have labels.

A user's pile is the split ``unlabelled``, less what a person names in ``not_good.txt``. Of a data set with labels the
key ``pool`` moves training normals and test defects into that split, where nothing on the way to a choice can tell
them apart: their names are numbers in a random order. Read while Snakemake parses, too: imports no torch, no pandas.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import LAID_OUT_AS_FOLDER, Dataset, Entry, PassedOver, passed_over_of
from variad.datasets.folder_names import NOT_GOOD_FILE, caseless, category_home

FOLDER = "pool"  # middle part of the image_id of an image that was moved


@dataclass(frozen=True)
class Pool:
    """Key ``pool`` of a data set.

    Attributes:
        good: training normals that are moved to split ``unlabelled``.
        defective: part of the pool that shows defects, moved there from the test; at least 0, below 1.
        seed: root seed of which images, and of their order.
        defects: the kinds of defects to draw from; None for all.
    """

    good: int
    defective: float = 0.0
    seed: int = 0
    defects: Sequence[str] | None = None

    @property
    def bad(self) -> int:
        """Test defects that make up ``defective`` of the pool."""
        return bad_among(self.good, self.defective)


def bad_among(good: int, share: float) -> int:
    """How many defective images make up a share of a pile with so many good ones."""
    return round(good * share / (1 - share))


@dataclass(frozen=True)
class Pooled:
    """A data set, some of whose images are unlabelled ones.

    Attributes:
        name: what the config calls the data set.
        shots: training normals that have to stay, for the largest scenario.
    """

    dataset: Dataset
    pool: Pool
    name: str
    shots: int = 1

    @property
    def root(self) -> Path:
        return self.dataset.root

    def passed_over(self, category: str) -> list[PassedOver]:
        return passed_over_of(self.dataset, category)

    def entries(self, category: str) -> list[Entry]:
        """Training, test and unlabelled images; those of the pool come last, as ``unlabelled/pool/0000`` and on.

        Images are drawn without regard to anything but their names: of two pools that differ in size, the larger one
        holds the smaller one's. A moved image keeps its ``defect``, which reporting alone reads, and its mask.

        Raises:
            UserError: the pool asks for more than there is, or for kinds of defects that there are not. So for the data
                set's own ``entries``.
        """
        entries = self.dataset.entries(category)
        moved = {*self._good(entries, category), *self._bad(entries, category)}
        pile = self._drawn(moved, category, "order")
        return [
            *(entry for entry in entries if entry not in moved),
            *(
                replace(entry, split="unlabelled", folder=FOLDER, name=f"{number:04}")
                for number, entry in enumerate(pile)
            ),
        ]

    def _good(self, entries: Sequence[Entry], category: str) -> list[Entry]:
        normals = [entry for entry in entries if entry.split == "train"]
        if (most := len(normals) - self.shots) < self.pool.good:
            raise self._wrong(
                "good",
                f"at most {max(most, 0)} for category '{category}', whose largest scenario needs {self.shots} of its "
                f"{len(normals)} training images",
                self.pool.good,
            )
        return self._drawn(normals, category, "good")[: self.pool.good]

    def _bad(self, entries: Sequence[Entry], category: str) -> list[Entry]:
        if not self.pool.bad:
            return []
        tested = [entry for entry in entries if entry.split == "test" and entry.label == 1]
        if not tested:
            raise self._wrong(
                "defective", f"0 for category '{category}', which has no test defects", self.pool.defective
            )
        kinds = {entry.defect for entry in tested}
        for kind in self.pool.defects or ():
            if kind not in kinds:
                named = ", ".join(sorted(kinds))
                raise self._wrong("defects", f"defects of category '{category}' ({named})", repr(kind))
        eligible = [entry for entry in tested if self.pool.defects is None or entry.defect in self.pool.defects]
        most = min(len(eligible), len(tested) - 1)  # one stays, or there would be nothing to find
        if self.pool.bad > most:
            share = math.floor(1000 * most / (self.pool.good + most)) / 1000
            raise self._wrong(
                "defective",
                f"at most {share:g} for category '{category}', which can give {most} of its {len(tested)} test defects",
                self.pool.defective,
            )
        return self._drawn(eligible, category, "defect")[: self.pool.bad]

    def _drawn(self, entries: Iterable[Entry], category: str, what: str) -> list[Entry]:
        """The same in the order of their draw, which depends on their names alone."""
        ordered = sorted(entries, key=lambda entry: entry.image_id)
        order = numpy_generator(self.pool.seed, "pool", self.name, category, what).permutation(len(ordered))
        return [ordered[place] for place in order]

    def _wrong(self, key: str, expected: str, found: Any) -> UserError:
        return UserError(f"config key datasets.{self.name}.pool.{key}: expected {expected}, found {found}.")


def with_pool(
    dataset: Dataset, pool: Mapping[str, Any] | None, name: str, scenarios: Mapping[str, Mapping[str, Any]]
) -> Dataset:
    """The data set with its pool, if the config gives it one.

    Args:
        scenarios: the config's, by name; the largest number of shots, and at least one image, stays for training.
    """
    if pool is None:
        return dataset
    shots = [scenario["shots"] for scenario in scenarios.values() if scenario["shots"] != "all"]
    return Pooled(dataset, Pool(**pool), name, max([1, *shots]))


def draw_candidates(
    images: Mapping[str, int | None],
    runs: int,
    size: int | None,
    contamination: float | None,
    root_seed: int,
    place: tuple[str, str, str],
) -> list[tuple[int, str]]:
    """Draw the images that a recipe may choose from: (run, image_id), by run, in random order.

    A run has one order of all images, seeded by (dataset, category, run), whatever the recipe; good ones and defects
    are each taken from its start. So of two recipes the one with more images of a kind holds the other's, and the order
    of the rows tells no label.

    Args:
        images: label by image_id (0 good, 1 defective, None unknown); labels are read with a ``contamination`` alone.
        size: at most so many in all; with a ``contamination`` exactly so many. None for all.
        contamination: share of defects; None takes images as they come. Without ``size``, all good ones are taken.
        place: data set, category and training set; the last is for sentences alone.

    Raises:
        UserError: a contamination is asked of images without labels, or more images of a kind than there are.
    """
    dataset, category, training_set = place
    key, where = f"config key training_sets.{training_set}", f"{dataset}/{category}"
    names = sorted(images)
    if contamination is None:
        return [
            (run, name)
            for run in range(runs)
            for name in _order(names, root_seed, dataset, category, run)[: len(names) if size is None else size]
        ]
    unknown = [name for name in names if images[name] is None]
    if unknown or not names:
        found = f"{len(unknown)} without, such as {unknown[0]}" if unknown else "none"
        expected = f"unlabelled images of {where} whose labels are known, as datasets.{dataset}.pool draws them"
        raise UserError(f"{key}.contamination: expected {expected}, found {found}.")
    there = [sum(label == kind for label in images.values()) for kind in (0, 1)]
    bad = bad_among(there[0], contamination) if size is None else round(size * contamination)
    wanted = [there[0] if size is None else size - bad, bad]
    if wanted[0] > there[0] or wanted[1] > there[1]:
        raise UserError(
            f"{key}.{'contamination' if size is None else 'size'}: expected a pile that {where} has images for, "
            f"{there[0]} good ones and {there[1]} with defects, found that it takes {wanted[0]} and {wanted[1]}."
        )
    rows = []
    for run in range(runs):
        order = _order(names, root_seed, dataset, category, run)
        parts = [[name for name in order if images[name] == kind][: wanted[kind]] for kind in (0, 1)]
        taken = {name for part in parts for name in part}
        rows += [(run, name) for name in order if name in taken]
    return rows


def _order(names: Sequence[str], root_seed: int, dataset: str, category: str, run: int) -> list[str]:
    order = numpy_generator(root_seed, dataset, category, run, "pool").permutation(len(names))
    return [names[position] for position in order]


def not_good_file(adapter: str, root: str | Path | None, category: str) -> Path | None:
    """The file beside ``train`` and ``unlabelled`` in which a person names photographs that are not good; or none."""
    if root is None or adapter not in LAID_OUT_AS_FOLDER:
        return None
    home = category_home(Path(root), category) if Path(root).is_dir() else None
    file = home / NOT_GOOD_FILE if home else None
    return file if file is not None and file.is_file() else None


def read_not_good(path: str | Path | None) -> list[str]:
    """The lines of a ``not_good.txt`` that name something; none of a file that is not there.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    if path is None:
        return []
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a text file (UTF-8) with one file name a line, found: {error}.") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def matches(lines: Iterable[str], images: Mapping[str, str]) -> dict[str, list[str]]:
    """What each line of a ``not_good.txt`` names: image_ids, sorted.

    A line is the end of a path or of an image_id, from a name on: ``3.png``, ``monday/3.png`` and
    ``unlabelled/monday/3`` are all ``unlabelled/monday/3.png``. Upper and lower case are one, and a name that several
    images have names them all. What follows a space and ``#`` is a comment, unless some image is called so.

    Args:
        images: path by image_id of all unlabelled images.
    """
    ends: dict[str, set[str]] = {}
    for image_id, path in images.items():
        for name in (image_id, path):
            parts = caseless(name).split("/")
            for start in range(len(parts)):
                ends.setdefault("/".join(parts[start:]), set()).add(image_id)
    found = {}
    for line in lines:
        whole, said = (_plain(text) for text in (line, re.split(r"\s#", line)[0]))
        found[line] = sorted(ends.get(whole) or ends.get(said) or set())
    return found


def with_copies(names: Iterable[str], contents: Mapping[str, str]) -> set[str]:
    """Images of these names, and those whose files are the same: who objects to a photograph objects to its copies.

    Args:
        contents: hash of the file by image_id of all unlabelled images.
    """
    wanted = {contents[name] for name in names}
    return {name for name, content in contents.items() if content in wanted}


def _plain(line: str) -> str:
    return caseless(line.strip().replace("\\", "/").removeprefix("./").strip("/"))
