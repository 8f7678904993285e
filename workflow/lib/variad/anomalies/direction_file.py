"""The learned directions of a category's runs, with their texts, as safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from variad.anomalies.direction import Direction
from variad.errors import UserError
from variad.files import writing

Directions = Mapping[int, Mapping[str, Direction]]  # by run and text


def write_directions(path: str | Path, directions: Directions) -> None:
    """Write tensors ``{run}/{number}`` ``[K, C, h, w]``; metadata key ``directions``: text, times, losses."""
    about, tensors = {}, {}
    for run, of_run in directions.items():
        for number, (text, direction) in enumerate(of_run.items()):
            name = f"{run}/{number}"
            tensors[name] = direction.delta_h.contiguous()
            losses = [round(loss, 5) for loss in direction.losses]
            about[name] = {"run": run, "text": text, "times": direction.times, "losses": losses}
    with writing(path) as temporary:
        save_file(tensors, temporary, {"directions": json.dumps(about, sort_keys=True)})


def read_directions(path: str | Path) -> dict[int, dict[str, Direction]]:
    """Read a file of ``write_directions``.

    Raises:
        UserError: it holds something else.
    """
    directions: dict[int, dict[str, Direction]] = {}
    with safe_open(path, "pt") as file:
        about = (file.metadata() or {}).get("directions")
        if about is None:
            raise UserError(f"{path}: expected directions of rule train_direction, found another file.")
        for name, entry in json.loads(about).items():
            learned = Direction(file.get_tensor(name), entry["times"], entry["losses"])
            directions.setdefault(int(entry["run"]), {})[entry["text"]] = learned
    return directions
