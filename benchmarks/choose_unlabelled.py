"""Seconds and memory of a choice among unlabelled images at 224 px in several runs, from features as a job reads them.

    python benchmarks/choose_unlabelled.py                # 160 and 2,000 candidates, every score, one thread
    python benchmarks/choose_unlabelled.py --device cuda

Features are random, with the shapes of EfficientNet-Lite0's ``stage3`` and ``stage5``: products take as long whatever
is in them, a search for nearest shots longer than with real ones. Each row has a process of its own, started by a
server that has imported the library.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent / "workflow" / "lib"
sys.path[:0] = [str(HERE), str(LIBRARY)]

from forked import Server, serve  # noqa: E402, after the path

COLUMNS = ("candidates", "runs", "score", "device", "threads", "seconds", "cpu_seconds", "peak_gib", "machine", "note")
SHAPES = {"stage3": (28, 28, 40), "stage5": (14, 14, 112)}
TURNED = "mutual, turned"  # compared with turned images as well; their way through the network is not counted
SCORES = ("mutual", TURNED, "rounds", "both", "shot")


def main() -> None:
    """Measure every number of candidates and score, and write one row each."""
    arguments = _parsed()
    from timing import machine, write_rows

    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        write_pile(Path(folder), max(arguments.candidates), arguments.runs)
        server = Server([sys.executable, str(Path(__file__)), "--serve"], arguments.threads, sys.stderr)
        for candidates in arguments.candidates:
            for score in arguments.scores:
                request = {"folder": folder, "candidates": candidates, "runs": arguments.runs, "score": score}
                found = server.measure({**request, "device": arguments.device})
                rows.append({**request, "device": arguments.device, "threads": arguments.threads, **found})
                print(*(rows[-1][name] for name in COLUMNS[:-2]), flush=True)
        server.close()
    named = {"machine": machine(arguments.device), "note": arguments.note}
    write_rows(arguments.output, COLUMNS, [{name: {**row, **named}[name] for name in COLUMNS} for row in rows])


def write_pile(folder: Path, count: int, runs: int) -> None:
    """Random features of ``count`` candidates and of a shot a run, in files as rules leave them."""
    import h5py
    import numpy as np

    generator = np.random.default_rng(0)
    candidates = [f"unlabelled/{number}" for number in range(count)]
    shots = [f"train/good/{run}" for run in range(runs)]
    for path, names in (("features.h5", candidates), ("shots.h5", shots)):
        with h5py.File(folder / path, "w") as file:
            file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
            file.attrs["extractor"] = json.dumps({"layers": list(SHAPES)})
            for layer, shape in SHAPES.items():
                values = file.create_dataset(layer, (len(names), *shape), "float32", chunks=(1, *shape))
                for row in range(len(names)):
                    values[row] = generator.standard_normal(shape, np.float32)
    for path, names in (("images.h5", candidates), ("train.h5", shots)):
        with h5py.File(folder / path, "w") as file:
            file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
            file.create_dataset("pixels", data=names, dtype=h5py.string_dtype())


def _load() -> Any:
    import numpy as np
    import pandas as pd
    from timing import Stopwatch

    from variad.core.job import keep_freed_memory
    from variad.selection.unlabelled import ChoiceFiles, ChoiceSettings, choose_unlabelled

    def measure(request: dict[str, Any]) -> dict[str, Any]:
        keep_freed_memory()
        folder, runs = Path(request["folder"]), range(request["runs"])
        names = [f"unlabelled/{number}" for number in range(request["candidates"])]
        pool = pd.DataFrame([(run, name) for run in runs for name in names], columns=["run", "image_id"])
        files = ChoiceFiles(*(folder / name for name in ("images.h5", "features.h5", "train.h5", "shots.h5")))
        turning = request["score"] == TURNED
        generator = np.random.default_rng(1)

        def turned(images: Any, image_ids: Any, degrees: float) -> Any:
            return {
                layer: generator.standard_normal((len(image_ids), *shape), np.float32)
                for layer, shape in SHAPES.items()
            }

        watch = Stopwatch(request["device"])
        choose_unlabelled(
            pool, {run: [f"train/good/{run}"] for run in runs}, files,
            ChoiceSettings(request["score"].partition(",")[0]), seed=0, key=("pile", "of"), device=request["device"],
            turned=turned if turning else None,
        )  # fmt: skip
        passed = watch.lap("choice")
        return {
            "seconds": round(passed["choice_s"], 2),
            "cpu_seconds": round(passed["choice_cpu_s"], 2),
            "peak_gib": round(passed["choice_peak_gb"] * 1e9 / 2**30, 2),
        }

    return measure


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candidates", type=int, nargs="+", default=[160, 2000])
    parser.add_argument("--scores", nargs="+", choices=SCORES, default=SCORES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="as many as a job of the workflow has")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scratch", help="folder for the features, 213 kB a candidate")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--output", type=Path, default=HERE / "choose_unlabelled.csv")
    return parser.parse_args()


if __name__ == "__main__":
    serve(_load) if sys.argv[1:] == ["--serve"] else main()
