"""How often is drift found where there is none, and how often where scores have moved?

    python benchmarks/drift.py --results results --scores held_out

A good folder is drawn in two ways. ``split``: held-out scores of the cells of ``real`` are parted at random into those
that are compared with and a folder. ``test``: a folder of the study's good test photographs is compared with the
held-out scores of its own run, as a user's would be. Scores of test defects of the same run take a share of the folder,
and its good scores are moved by multiples of the robust standard deviation of good scores (1.4826 times the median
absolute deviation). ``calibration.py`` has the cells and writes the held-out scores.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from calibration import CATEGORIES, CELLS, held_out_of, scores_of_test  # noqa: E402, scripts of this folder
from timing import write_rows  # noqa: E402

from variad.inspect.answers import HeldOutScores, drift  # noqa: E402

COLUMNS = ("source", "category", "cell", "held_out", "folder", "defects", "shift", "drawn", "moved", "higher")
REFERENCES, FOLDERS = (5, 30, 80), (10, 40)  # scores of a split; photographs of a folder
DEFECTS, SHIFTS = (0.0, 0.1, 0.2), (0.0, 0.5, 1.0, 2.0, -1.0)
Scores = NDArray[np.float64]
Row = dict[str, Any]


def main() -> None:
    """Draw folders of every kind, write how many have moved, and print means over categories."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, required=True, help="of a finished study of config/real.yaml")
    parser.add_argument("--scores", type=Path, required=True, help="folder of calibration.py's held-out scores")
    parser.add_argument("--categories", nargs="+", default=list(CATEGORIES))
    parser.add_argument("--cells", nargs="+", default=list(CELLS), help="scenario/training_set")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--draws", type=int, default=40, help="folders of each kind and run")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--output", type=Path, default=HERE / "drift.csv")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for cell in arguments.cells:
        for category in arguments.categories:
            rows += drawn_folders(arguments, category, cell)
            write_rows(arguments.output, COLUMNS, rows)
    print_means(rows)


def drawn_folders(arguments: argparse.Namespace, category: str, cell: str) -> Iterator[Row]:
    """A row for each kind of folder of a cell, all runs together."""
    generator = np.random.default_rng(arguments.seed)
    runs = []
    for run in range(arguments.runs):
        held_out = held_out_of(arguments, category, cell, run)
        runs.append((held_out, *scores_of_test(arguments, category, cell, run)))
    place = {"category": category, "cell": cell}
    if cell.endswith("/real"):
        for reference in REFERENCES:
            splits = [(*_split(held.score, reference, generator), defects) for held, _, defects in runs]
            yield from _rows(splits, place | {"source": "split"}, arguments.draws, generator, resplit=True)
    yield from _rows(runs, place | {"source": "test"}, arguments.draws, generator)


def _split(scores: Scores, reference: int, generator: np.random.Generator) -> tuple[HeldOutScores, Scores]:
    """Some of the scores, all known to be good, and the others."""
    order = generator.permutation(len(scores))
    chosen = scores[order[:reference]]
    return HeldOutScores(chosen, chosen, np.ones(len(chosen), bool)), scores[order[reference:]]


def _rows(
    runs: list[tuple[HeldOutScores, Scores, Scores]],
    place: Row,
    draws: int,
    generator: np.random.Generator,
    resplit: bool = False,
) -> Iterator[Row]:
    for folder in FOLDERS:
        for share in DEFECTS:
            for shift in SHIFTS:
                found = []
                for held_out, good, defects in runs:
                    for _ in range(draws):
                        if resplit:  # anew for every draw
                            everything = np.concatenate([held_out.score, good])
                            held_out, good = _split(everything, len(held_out.score), generator)
                        scores = _folder(good, defects, folder, share, shift, generator)
                        said = drift(scores, held_out)
                        found.append((said.moved, said.moved and "higher" in said.sentence))
                moved, higher = np.mean(found, axis=0)
                size = round(np.mean([len(held_out.score) for held_out, *_ in runs]))
                yield place | {
                    "held_out": size, "folder": folder, "defects": share, "shift": shift, "drawn": len(found),
                    "moved": f"{moved:.4f}", "higher": f"{higher:.4f}",
                }  # fmt: skip


def _folder(
    good: Scores, defects: Scores, size: int, share: float, shift: float, generator: np.random.Generator
) -> Scores:
    """Scores of a folder, none of a photograph twice."""
    spoilt = round(size * share)
    spread = 1.4826 * np.median(np.abs(good - np.median(good)))
    chosen = generator.choice(good, min(size - spoilt, len(good)), replace=False) + shift * spread
    return np.concatenate([chosen, generator.choice(defects, spoilt, replace=False)])


def print_means(rows: list[Row]) -> None:
    """Share of folders that have moved, over categories."""
    names = ("source", "cell", "folder", "defects", "shift")
    for place in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in names) == place]
        for held_out in sorted({row["held_out"] if place[0] == "split" else 0 for row in own}):
            some = [row for row in own if held_out in (0, row["held_out"])]
            print(*place, held_out or "", f"{np.mean([float(row['moved']) for row in some]):.3f}")


if __name__ == "__main__":
    main()
