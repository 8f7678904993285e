"""The prompts that candidates of method ``templates`` compare: ``templates.yaml`` beside this file."""

import functools
from pathlib import Path

import yaml

from variad.errors import UserError

FILE = Path(__file__).with_name("templates.yaml")
Pair = tuple[str, str]


@functools.cache
def template_sets() -> dict[str, list[Pair]]:
    """Pairs of a normal and an anomalous prompt by the name of the set; ``{}`` stands for the class name."""
    sets = yaml.safe_load(FILE.read_text("utf-8"))
    return {name: [(normal, anomalous) for normal, anomalous in pairs] for name, pairs in sets.items()}


def find_templates(name: str) -> list[Pair]:
    """The pairs of a set.

    Raises:
        UserError: there is no such set.
    """
    if name not in template_sets():
        raise UserError(f"templates: expected a set of {', '.join(template_sets())}, found '{name}'.")
    return template_sets()[name]
