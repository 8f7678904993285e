"""No path leads from a label of a test image to a choice."""

import re
from pathlib import Path

RULES = Path(__file__).resolve().parents[3] / "workflow/rules"


def inputs(file: str, rule: str) -> dict[str, str]:
    """Named inputs of a rule, as they stand in its file; all that joins them later is code."""
    text = (RULES / file).read_text("utf-8")
    block = text.split(f"rule {rule}:\n")[1].split("    output:\n")[0].split("    input:\n")[1]
    return dict(re.findall(r"^        (\w+)=(.*?),?\n(?=        \w|\Z)", block, re.DOTALL | re.MULTILINE))


def test_recipes_are_chosen_from_synthetic_scores_alone() -> None:
    assert set(inputs("recipes.smk", "choose_recipe")) == {"scores"}
    assert inputs("recipes.smk", "choose_recipe")["scores"] == "rules.score_recipes.output.scores"
    scored = inputs("recipes.smk", "score_recipes")
    known = {"images", "shots", "support", "models", "anomalies", "manifests", "weights", "method"}
    assert set(scored) == known
    assert not any(word in value for value in scored.values() for word in ("index_category", "scores.csv", "metrics"))


def test_exposure_sees_labels_only_when_it_is_judged() -> None:
    script = (RULES.parents[1] / "scripts/expose_outliers.py").read_text("utf-8")
    assert '"manifest")["image_id"]' in script and "label" not in script and "defect" not in script
    assert "manifests" not in inputs("exposure.smk", "expose_outliers")
    assert "manifests" in inputs("exposure.smk", "judge_exposure")
