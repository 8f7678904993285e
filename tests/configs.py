"""The configs that ship, as Snakemake reads them."""

import copy
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "config"
Config = dict[str, Any]
OVERLAYS = {"paper_ablations.yaml": "paper.yaml"}  # files that only add to another one


def load(name: str) -> Config:
    """A file of the folder; an overlay is laid over what it belongs to."""
    content: Config = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return deep_merged(load(OVERLAYS[name]), content) if name in OVERLAYS else content


def deep_merged(base: Config, over: Config) -> Config:
    """As Snakemake merges config files: mappings key by key, anything else replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = deep_merged(result[key], value) if both else copy.deepcopy(value)
    return result
