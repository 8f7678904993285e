"""The choice is an argmax of the synthetic AUROC."""

import itertools

import pandas as pd

from variad.selection.records import choose_recipes, recipe_auroc

# normals 0 and 1, anomalies after them: AUROC 1, 0.75 and 0.5
SCORES = {"original": [1, 2, 3, 4], "generated": [1, 3, 2, 4], "duplicated": [1, 4, 2, 3]}


def scores(source: str, by_set: dict[str, list[float]], run: int = 0) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"image_id": list("abcd"), "label": [0, 0, 1, 1], "score": values}).assign(training_set=name)
        for name, values in by_set.items()
    ]
    return pd.concat(parts).assign(scenario="one_shot", run=run, source=source)


def test_auroc_by_hand() -> None:
    found = recipe_auroc(scores("scar", SCORES)).set_index("training_set")["synthetic_auroc"]
    assert found.to_dict() == {"original": 1.0, "generated": 0.75, "duplicated": 0.5}


def test_the_choice_is_the_argmax_in_any_order() -> None:
    for order in itertools.permutations(SCORES):
        table = pd.concat([scores("scar", {name: SCORES[name] for name in order}), scores("blurred", SCORES, run=1)])
        chosen = choose_recipes(recipe_auroc(table))
        assert chosen["training_set"].tolist() == ["original", "original"]
        assert chosen["weight"].tolist() == [1.0, 1.0]
        assert chosen[["run", "source"]].to_numpy().tolist() == [[0, "scar"], [1, "blurred"]]


def test_ties_share_the_choice() -> None:
    tied = {**SCORES, "tuned": [1, 2, 30, 40]}
    chosen = choose_recipes(recipe_auroc(scores("scar", tied))).set_index("training_set")["weight"]
    assert chosen.to_dict() == {"original": 0.5, "tuned": 0.5}
