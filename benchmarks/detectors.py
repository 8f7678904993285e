"""The detectors against anomalib: the same images, weights and work, taking turns in one run.

    make bench                                            # makes both environments, then this
    python benchmarks/detectors.py --peer PYTHON          # a Python that holds envs/bench.lock
    python benchmarks/detectors.py --peer PYTHON --device cuda --seeds 1 --threads 4    # more work, 2 minutes

Times of fitting and of scoring start at PNGs on disk and hold the backbone's forward pass on both sides; imports and
the making of models are left out on both. Every measurement has a process of its own. Results go to a CSV with the
machine's facts; medians of paired ratios are printed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from detector_cases import BACKBONES, CASES, Case, cases_on  # noqa: E402, scripts of this folder
from detector_data import CATEGORIES, image_names, read_masks, write_images  # noqa: E402
from detector_networks import write_penalty_images, write_weights  # noqa: E402
from detector_ratios import print_ratios, write_rows  # noqa: E402
from forked import Server  # noqa: E402

_FROM_REQUEST = ("category", "seed", "backbone", "resolution", "train_images", "work", "threads")
_SHOWN = ("detector", "category", "seed", "engine", "fit_s", "score_s", "fit_peak_gb", "image_auroc", "pixel_auroc")


def main() -> None:
    """Run every case on both sides."""
    arguments = _parsed()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, open(arguments.log, "w", encoding="utf-8") as log:
        servers = _servers(arguments, log)
        for turn, request in enumerate(_requests(arguments, Path(folder))):
            for engine in servers if turn % 2 == 0 else reversed(servers):
                rows.append(_measured(servers[engine], engine, request))
                shown = ("detector", "category", "seed", "engine", "fit_s", "score_s", "image_auroc", "pixel_auroc")
                write_rows(arguments.output, rows)  # whatever stops it, what was measured is kept
                print(
                    json.dumps({name: rows[-1][name] for name in (*shown, "fit_peak_gb", "score_peak_gb")}), flush=True
                )
        for server in servers.values():
            server.close()
    print_ratios(rows)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="a Python that holds anomalib; without one, ours alone is measured")
    parser.add_argument("--detectors", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--categories", nargs="+", choices=CATEGORIES, help="mono and brick; on a GPU brick and grass")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--teacher", type=Path, default=HERE.parent / "resources/pdn_small/model.safetensors")
    parser.add_argument("--train", type=int, help="training images, in place of each case's number")
    parser.add_argument("--test", type=int, help="normal, and anomalous, test images, in place of each case's number")
    parser.add_argument("--epochs", type=int, help="in place of each case's number")
    parser.add_argument("--size", type=int, help="side of the images in pixels, in place of each case's")
    parser.add_argument("--threads", type=int, default=1, help="as many as a job of the workflow has")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=HERE / "detectors.csv")
    parser.add_argument("--log", type=Path, default=Path("/dev/null"), help="where both sides' messages go")
    arguments = parser.parse_args()
    if arguments.categories is None:  # ELPV is a package that a machine with a GPU may lack
        arguments.categories = ["brick", "grass"] if arguments.device.startswith("cuda") else ["mono", "brick"]
    return arguments


def _servers(arguments: argparse.Namespace, log: TextIO) -> dict[str, Server]:
    commands = {"variad": [sys.executable, str(HERE / "variad_detector.py")]}
    if arguments.peer is not None:
        commands["anomalib"] = [str(arguments.peer), str(HERE / "anomalib_peer.py")]
    return {engine: Server(command, arguments.threads, log) for engine, command in commands.items()}


def _requests(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    for seed in range(arguments.seeds):
        for category in arguments.categories:
            for name in arguments.detectors:
                yield _request(arguments, folder, name, category, seed)


def _request(arguments: argparse.Namespace, folder: Path, name: str, category: str, seed: int) -> dict[str, Any]:
    """All that a side has to know about one measurement."""
    case, at = cases_on(arguments.device)[name], vars(arguments)
    size, train, test = at["size"] or case.resolution, at["train"] or case.train, at["test"] or case.test
    epochs = at["epochs"] or case.epochs
    images = folder / f"{category}_{seed}_{size}_{train}_{test}"
    if not images.exists():
        # to decompress a PNG takes a CPU longer than a GPU takes to judge it, and is no part of either detector
        level = 0 if arguments.device.startswith("cuda") else 6
        write_images(images, category, seed, size, train, test, level)
    request = {
        "method": name, "work": case.work, "category": category, "seed": seed, "folder": str(images),
        "train_images": train, "test_files": image_names(images), "resolution": size, "device": arguments.device,
        "threads": arguments.threads, "epochs": epochs, "batch": case.batch, "peer": case.peer,
        "ours": {**case.ours, **case.budget(epochs, train)}, **_networks(case, arguments, folder),
    }  # fmt: skip
    if name == "efficientad":
        request["penalty"] = request["ours"]["penalty"] = str(write_penalty_images(folder / "penalty"))
    return request


def _networks(case: Case, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    backbone = BACKBONES[case.backbone]
    weights = arguments.teacher if case.backbone == "pdn_small" else folder / f"{case.backbone}.safetensors"
    if not weights.exists():
        weights = folder / weights.name
        write_weights(weights, case.backbone, backbone["timm"])
    return {
        **backbone, "backbone": case.backbone, "layers": case.layers, "timm_layers": case.timm_layers,
        "timm_weights": str(weights), "weights": None if case.backbone == "efficientnet_lite0" else str(weights),
    }  # fmt: skip


def _measured(server: Server, engine: str, request: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from variad.evaluation.pixel import pixel_auroc
    from variad.evaluation.ranking import auroc

    folder = Path(request["folder"])
    output = folder / f"{engine}_{request['method']}.npz"
    found = server.measure({**request, "output": str(output)})
    with np.load(output) as file:
        scores, maps = file["scores"], file["maps"]
    masks = read_masks(folder)
    labels = [int(name.startswith("defect")) for name in request["test_files"]]
    return {
        **{name: request[name] for name in _FROM_REQUEST},
        "detector": request["method"], "engine": engine, "test_images": len(labels),
        "precision": "float32",  # the peer's; ours says itself
        **{name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()},
        "import_s": server.import_s, "image_auroc": round(100 * auroc(scores, labels), 2),
        "pixel_auroc": round(100 * pixel_auroc(list(maps), masks), 2) if masks else "",
    }  # fmt: skip


if __name__ == "__main__":
    main()
