"""Is a threshold from good photographs worth what it says? Promised false-alarm rates beside observed ones.

    snakemake --cores all --configfile config/real.yaml
    python benchmarks/calibration.py --results results

For cells of a finished study whose thresholds no good test photograph has a part in. Photographs of the training set
are held out as rule ``score_held_out`` does it, in each run; the thresholds and what they promise are those of
``variad.inspect.answers``; observed is how many of the study's good test photographs lie above them (``scores.csv``).
The observed rate has an interval of its own. Runs share their test photographs, so their rows are not independent.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from timing import machine, write_rows  # noqa: E402, a script of this folder

from variad.core.records import read_shots  # noqa: E402
from variad.core.seeding import numpy_generator  # noqa: E402
from variad.core.tables import read_table  # noqa: E402
from variad.detectors.held_out import CandidateFiles, HeldOut, score_held_out  # noqa: E402
from variad.detectors.interface import create_detector  # noqa: E402
from variad.detectors.training import CellFiles, extractor_of  # noqa: E402
from variad.inspect.answers import QUANTILES, Answers, HeldOutScores, Rate, Scores, counted  # noqa: E402

CATEGORIES = ("mvtec_ad/screw", "magnetic_tile/magnetic_tile", "juice_bottle/juice_bottle", "elpv/mono", "elpv/poly")
CELLS = ("few_shot/original", "one_shot/unlabelled_10", "few_shot/real")
LAYERS = ("stage3", "stage5")  # of PatchCore and its settings, as in config/real.yaml
SETTINGS = {"coreset_fraction": 0.1, "coreset_limit": 1000, "projection": 128, "neighbours": 9}
COLUMNS = (
    "category", "scenario", "training_set", "run", "held_out", "outliers", "quantile", "threshold", "expected",
    "promised_low", "promised_high", "good", "false_alarms", "observed", "observed_low", "observed_high", "defects",
    "misses", "machine",
)  # fmt: skip
Row = dict[str, Any]


def main() -> None:
    """Write every row at once, and print what each kind of cell promised and kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, required=True, help="of a finished study of config/real.yaml")
    parser.add_argument("--categories", nargs="+", default=list(CATEGORIES))
    parser.add_argument("--cells", nargs="+", default=list(CELLS), help="scenario/training_set")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--scores", type=Path, help="folder to keep the held-out scores in, and to take them from")
    parser.add_argument("--output", type=Path, default=HERE / "calibration.csv")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for cell in arguments.cells:
        for category in arguments.categories:
            for run in range(arguments.runs):
                rows += calibrated(arguments, category, cell, run)
                write_rows(arguments.output, COLUMNS, rows)
            print(category, cell, flush=True)
    print_rates(rows)


def calibrated(arguments: argparse.Namespace, category: str, cell: str, run: int) -> Iterator[Row]:
    """A row for each threshold of a run."""
    answers = Answers(held_out_of(arguments, category, cell, run))
    good, defects = scores_of_test(arguments, category, cell, run)
    scenario, training_set = cell.split("/")
    rates = answers.false_alarms()
    if rates is None:
        return
    for quantile, threshold, promised in zip(QUANTILES, (answers.look, answers.bad), rates, strict=True):
        alarms = int((good > threshold).sum())
        observed = counted(alarms, len(good)) or Rate(0, 1, 0)
        yield {
            "category": category, "scenario": scenario, "training_set": training_set, "run": run,
            "held_out": answers.count, "outliers": answers.outliers, "quantile": quantile,
            "threshold": f"{threshold:.6g}", "expected": f"{promised.mean:.4f}",
            "promised_low": f"{promised.low:.4f}", "promised_high": f"{promised.high:.4f}",
            "good": len(good), "false_alarms": alarms, "observed": f"{observed.mean:.4f}",
            "observed_low": f"{observed.low:.4f}", "observed_high": f"{observed.high:.4f}",
            "defects": len(defects), "misses": int((defects <= threshold).sum()), "machine": machine("cpu"),
        }  # fmt: skip


def scores_of_test(arguments: argparse.Namespace, category: str, cell: str, run: int) -> tuple[Scores, Scores]:
    """Scores of the good test photographs of a run, and of those with defects."""
    scores = read_table(arguments.results / category / cell / "patchcore/scores.csv", "scores")
    scores = scores[scores["run"] == run]
    good, defects = (scores.loc[scores["label"] == label, "score"].to_numpy(np.float64) for label in (0, 1))
    return good, defects


def held_out_of(arguments: argparse.Namespace, category: str, cell: str, run: int) -> HeldOutScores:
    """The held-out scores of a run, kept in a file where there is a folder for them."""
    kept = arguments.scores / f"{category}/{cell}/{run}.npz".replace("/", ".") if arguments.scores else None
    if kept is None or not kept.exists():
        found = score_cell(arguments.results / category, cell, run, arguments.seed, category).table()
        held_out = HeldOutScores.from_table(found)
        if kept is None:
            return held_out
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, score=held_out.score, peak=held_out.peak, known_good=held_out.known_good)
    with np.load(kept) as file:
        return HeldOutScores(file["score"], file["peak"], file["known_good"])


def score_cell(home: Path, cell: str, run: int, seed: int, category: str) -> HeldOut:
    """As rule score_held_out, of any run."""
    folder, scenario = home / cell, cell.split("/")[0]
    entry = {"backbone": "efficientnet_lite0", "layers": LAYERS, "weights": None, "resolution": None, "crop": None}
    extractor = extractor_of(entry, home / "train/images.h5")
    features, added = "features/lite0.h5", folder / "features/lite0.h5"
    files = CellFiles(
        home / "train/images.h5",
        home / "train" / features,
        folder / "added.h5",
        added if added.exists() else None,
        LAYERS,
    )
    chooses = (folder / "chosen.csv").exists()
    return score_held_out(
        lambda: create_detector("patchcore", SETTINGS, extractor),
        files,
        read_shots(home / "shots.csv", scenario)[run],
        extractor,
        [CandidateFiles(home / "unlabelled/images.h5", home / "unlabelled" / features)] if chooses else [],
        numpy_generator(seed, *category.split("/"), "threshold"),
        run,
    )


def print_rates(rows: list[Row]) -> None:
    """Means over runs, of each cell and threshold; a promise is kept where its interval and the observed one meet."""
    print("category, cell, quantile: held out, outliers; percent expected, promised (largest interval), observed; kept")
    places = dict.fromkeys((row["category"], row["scenario"], row["training_set"], row["quantile"]) for row in rows)
    for place in places:
        own = [row for row in rows if (row["category"], row["scenario"], row["training_set"], row["quantile"]) == place]
        mean = {
            name: np.mean([float(row[name]) for row in own])
            for name in ("held_out", "outliers", "expected", "observed")
        }
        low, high = min(float(row["promised_low"]) for row in own), max(float(row["promised_high"]) for row in own)
        kept = sum(
            float(row["observed_low"]) <= float(row["promised_high"])
            and float(row["promised_low"]) <= float(row["observed_high"])
            for row in own
        )
        held = f"{mean['held_out']:.0f} {mean['outliers']:.0f}"
        rates = f"{100 * mean['expected']:.1f} {100 * low:.1f}-{100 * high:.0f} {100 * mean['observed']:.1f}"
        print(*place, held, rates, f"{kept}/{len(own)}")


if __name__ == "__main__":
    main()
