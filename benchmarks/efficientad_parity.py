"""EfficientAD against anomalib's from the same first weights, on the same images in the same order: are they equal?

    python benchmarks/efficientad_parity.py --peer PYTHON          # a Python that holds envs/bench.lock

A benchmark of whole trainings compares two random starts; with the start, the order of images, penalty images and
changes of colour given, what is left of a difference is the programs'. A row per category, seed and precision of ours:
how far losses and maps are apart after ``--steps`` steps, maps also with anomalib's weights in both, and the AUROC of
each side, also inside the border, where anomalib's maps are raw zeros.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from detector_data import CATEGORIES, read_images, read_masks, write_images  # noqa: E402, scripts of this folder
from safetensors.torch import load_file  # noqa: E402
from timing import computed_in  # noqa: E402

from variad.core.precision import autocast  # noqa: E402
from variad.detectors.anomaly_map import MapSize, full_size_map  # noqa: E402
from variad.detectors.efficientad import (  # noqa: E402
    MapRange,
    TeacherAnswers,
)
from variad.detectors.efficientad_networks import (  # noqa: E402
    Batch,
    PenaltyImages,
    StudentAndAutoencoder,
    draw_jitter,
    jitter,
)
from variad.evaluation.pixel import pixel_auroc  # noqa: E402
from variad.evaluation.ranking import auroc  # noqa: E402
from variad.networks.features import to_tensor  # noqa: E402
from variad.networks.pdn import BORDER, config_of, load_pdn, standardised  # noqa: E402
from variad.networks.training import FusedAdam  # noqa: E402

SIDE = 256  # anomalib's autoencoder needs as many
INSIDE = slice(4 * BORDER + 2, -4 * BORDER - 2)  # what no value of the border is interpolated into
PRECISIONS = ("float32", "bfloat16")
Arrays = dict[str, Any]


def main() -> None:
    """Compare every seed and category, and print what is written."""
    arguments = _parsed()
    torch.set_num_threads(arguments.threads)
    with open(arguments.output, "w", newline="", encoding="utf-8") as stream:
        writer = None
        for seed in range(arguments.seeds):
            for category in arguments.categories:
                for row in compare(arguments, category, seed):
                    if writer is None:
                        writer = csv.DictWriter(stream, list(row), lineterminator="\n")
                        writer.writeheader()
                    writer.writerow(row)
                    print(json.dumps(row), flush=True)
                stream.flush()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="a Python that holds anomalib")
    parser.add_argument("--categories", nargs="+", choices=CATEGORIES, default=["mono", "brick"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--train", type=int, default=10, help="training images; one more sets the scale of the maps")
    parser.add_argument("--test", type=int, default=16, help="normal, and anomalous, test images")
    parser.add_argument("--teacher", type=Path, default=HERE.parent / "resources/pdn_small/model.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "efficientad_parity.csv")
    return parser.parse_args()


def compare(arguments: argparse.Namespace, category: str, seed: int) -> list[Arrays]:
    """Train both from anomalib's first weights; a row for each of our precisions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, category, seed, SIDE, arguments.train + 1, arguments.test)
        given = _drawn(folder, arguments.steps, seed)
        np.savez(folder / "data.npz", **given)
        request = {
            "seed": seed, "threads": arguments.threads, "teacher": str(arguments.teacher),
            "data": str(folder / "data.npz"), "output": str(folder / "peer"),
        }  # fmt: skip
        command = [str(arguments.peer), str(HERE / "efficientad_parity_peer.py"), json.dumps(request)]
        subprocess.run(command, check=True)
        first, last = (converted(load_file(folder / f"peer.{end}.safetensors")) for end in ("first", "last"))
        with np.load(folder / "peer.npz") as file:
            peer = dict(file)
        masks, good = read_masks(folder), len(list((folder / "test/good").iterdir()))
    labels = [0] * good + [1] * (len(given["test"]) - good)
    rows = []
    for precision in dict.fromkeys(computed_in(one, "cpu") for one in PRECISIONS):
        networks, answers, losses = _trained(first, given, arguments.teacher, precision)
        ours = _unpadded_maps(networks, answers, given)
        networks.load_state_dict(last)
        transplanted = _unpadded_maps(networks, answers, given)
        rows.append({
            "category": category, "seed": seed, "steps": arguments.steps, "precision": precision,
            "loss": f"{_apart(losses, peer['losses']):.1e}",
            "maps_of_same_weights": f"{_maps_apart(transplanted, peer['maps']):.1e}",
            "maps": f"{_maps_apart(ours, peer['maps']):.1e}",
            **_aurocs("variad", *_ours(ours), labels, masks),
            **_aurocs("anomalib", *_peers(peer["maps"]), labels, masks),
        })  # fmt: skip
    return rows


def _drawn(folder: Path, steps: int, seed: int) -> Arrays:
    """All that a training draws: rows of images, penalty images, changes of colour."""
    train = to_tensor(read_images(folder / "train")).numpy()
    test = np.concatenate([to_tensor(read_images(folder / "test" / kind)).numpy() for kind in ("good", "defect")])
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    kinds, factors = draw_jitter(steps, generator)
    rows = rng.integers(len(train) - 1, size=steps)
    penalty = PenaltyImages("photographs", SIDE).draw(steps, rng).numpy()
    return {
        "train": train[:-1], "held": train[-1:], "test": test, "images": train[:-1][rows], "penalty": penalty,
        "kinds": kinds.numpy(), "factors": factors.numpy(),
    }  # fmt: skip


def _trained(first: Arrays, given: Arrays, teacher: Path, precision: str) -> tuple[Any, TeacherAnswers, list[float]]:
    networks = StudentAndAutoencoder(config_of("pdn_small"), SIDE)
    networks.load_state_dict(first)
    networks.to(memory_format=torch.channels_last)
    assert networks.autoencoder is not None
    networks.autoencoder.dropout = 0.0
    network = load_pdn(teacher, "pdn_small")
    with torch.no_grad():
        found = torch.cat([network(standardised(image[None])) for image in torch.from_numpy(given["train"])])
    answers = TeacherAnswers(network, found.mean(dim=(0, 2, 3)), found.std(dim=(0, 2, 3), unbiased=False))
    optimiser, losses = FusedAdam(networks.parameters(), 1e-4, weight_decay=1e-5), []
    for number in range(len(given["images"])):
        with autocast(precision, "cpu"):
            loss = networks.loss(_batch(given, number, answers), 0.999)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return networks.eval(), answers, losses


def _batch(given: Arrays, number: int, answers: TeacherAnswers) -> Batch:
    image, penalty = (torch.from_numpy(given[name][number : number + 1]) for name in ("images", "penalty"))
    kinds, factors = (torch.from_numpy(given[name][number : number + 1]) for name in ("kinds", "factors"))
    view = standardised(jitter(image, kinds, factors))
    image = standardised(image)
    return Batch(image, answers.of_images(image), view, answers.of_images(view), standardised(penalty))


@torch.inference_mode()
def _unpadded_maps(networks: Any, answers: TeacherAnswers, given: Arrays) -> Any:
    """``[2, 1 + test images, h, h]``, float32; the first image sets the scale."""
    images = [
        standardised(torch.from_numpy(image)[None]) for name in ("held", "test") for image in given[name]
    ]  # one at a time, as both sides score
    return torch.cat([networks.maps(image, answers.of_images(image)) for image in images], dim=1).numpy()


def _ours(maps: Any) -> tuple[Any, Any]:
    """Scores and full-size maps, as our detector makes them."""
    mean = np.mean([MapRange.of(part[:1]).normalised(part[1:]) for part in maps], axis=0)
    size = MapSize(SIDE, SIDE, SIDE, None, 0.0)
    padded = np.pad(mean, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)), mode="edge")
    return mean.max(axis=(1, 2)), np.stack([full_size_map(one, size) for one in padded])


def _peers(maps: Any) -> tuple[Any, Any]:
    """Scores and full-size maps, as anomalib makes them of what ``compute_maps`` returns."""
    mean = np.mean([MapRange.of(part[:1]).normalised(part[1:]) for part in maps], axis=0)
    return mean.max(axis=(1, 2)), mean


def _padded(maps: Any) -> Any:
    padded = torch.from_numpy(np.pad(maps, ((0, 0), (BORDER, BORDER), (BORDER, BORDER))))
    return torch.nn.functional.interpolate(padded[:, None], size=(SIDE, SIDE), mode="bilinear")[:, 0].numpy()


def _aurocs(engine: str, scores: Any, maps: Any, labels: list[int], masks: list[Any]) -> Arrays:
    inside = [mask[INSIDE, INSIDE] for mask in masks]
    return {
        f"{engine}_image_auroc": round(100 * auroc(scores, labels), 2),
        f"{engine}_pixel_auroc": round(100 * pixel_auroc(list(maps), masks), 2) if masks else "",
        f"{engine}_pixel_auroc_inside": (
            round(100 * pixel_auroc([np.ascontiguousarray(one[INSIDE, INSIDE]) for one in maps], inside), 2)
            if masks
            else ""
        ),
    }


def _apart(ours: Any, peers: Any) -> float:
    """Largest difference, as a part of the largest value."""
    return float(np.abs(np.asarray(ours) - np.asarray(peers)).max() / np.abs(peers).max())


def _maps_apart(ours: Any, peers: Any) -> float:
    return max(_apart(_padded(one), other) for one, other in zip(ours, peers, strict=True))


def converted(tensors: Arrays) -> Arrays:
    """Weights of anomalib's student and autoencoder by our names."""
    return {_our_name(name): value for name, value in tensors.items()}


def _our_name(name: str) -> str:
    part, *rest = name.split(".")
    if part == "student":
        return name
    number = int(rest[1][-1])
    if rest[0] == "encoder":
        return f"autoencoder.encoder.{number - 1}.{rest[2]}"
    layer = {7: "before_last", 8: "last"}.get(number, f"decoder.{number - 1}")
    return f"autoencoder.{layer}.{rest[2]}"


if __name__ == "__main__":
    main()
