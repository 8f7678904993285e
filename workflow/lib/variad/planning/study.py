"""Questions to a resolved config and the sizes of its categories: how many shots, added images, runs, texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from variad.planning.sizes import Size, Sizes

SINGLE_WORDS = 83_118  # of WordNet 3.0: the most that `wordnet_all` has


@dataclass(frozen=True)
class Study:
    """A resolved config with the sizes of its categories."""

    config: Mapping[str, Any]
    sizes: Sizes

    def size(self, names: Mapping[str, str]) -> Size | None:
        """Of the category."""
        return self.sizes[names["dataset"], names["category"]]

    def runs(self, names: Mapping[str, str]) -> int:
        """Of the scenario, or as many of them as the detector sees."""
        runs: int = self.config["scenarios"][names["scenario"]]["runs"]
        only = self.config["study"]["only"].get(names.get("detector"), {})
        return min(runs, only.get("runs", runs))

    def shots(self, names: Mapping[str, str]) -> int | None:
        """Shots of one run; None where all are taken and nobody knows how many there are."""
        shots = self.config["scenarios"][names["scenario"]]["shots"]
        size = self.size(names)
        if shots == "all":
            return size.train if size else None
        return min(int(shots), size.train) if size else int(shots)

    def added(self, names: Mapping[str, str]) -> int | None:
        """Added images of one run, before any is refused."""
        recipe, shots = self.config["training_sets"][names["training_set"]], self.shots(names)
        if recipe["method"] == "none":
            return 0
        return None if shots is None else round(recipe["images_per_shot"][names["scenario"]] * shots)

    def texts(self, names: Mapping[str, str]) -> int:
        """Prompts of a category, at most: a class with few neighbours in WordNet has fewer."""
        settings = {**self.config["prompts"], **self.config["datasets"][names["dataset"]]["prompts"]}
        wanted: int = settings["words_per_round"] * settings["rounds"]
        return min(wanted, SINGLE_WORDS) if settings["word_source"] == "wordnet_all" else wanted

    def recipe(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Of the training set."""
        recipe: dict[str, Any] = self.config["training_sets"][names["training_set"]]
        return recipe

    def extractor(self, name: str) -> dict[str, Any]:
        """An extractor with the side of the image that its network sees, ``side``, pixels."""
        entry = self.config["extractors"][name]
        return {**entry, "side": entry["crop"] or entry["resolution"] or self.config["image_size"]}

    def optimisation_steps(self, names: Mapping[str, str]) -> int | None:
        """Steps of all guided images of a training set, in one run."""
        recipe, added = self.recipe(names), self.added(names)
        if not is_guided(recipe):
            return 0
        return None if added is None else added * int(recipe["iterations"])


def is_guided(recipe: Mapping[str, Any]) -> bool:
    """Whether a text has any influence on a recipe's images."""
    return recipe["method"] == "generate" and recipe["guidance"] > 0 and recipe["iterations"] > 0
