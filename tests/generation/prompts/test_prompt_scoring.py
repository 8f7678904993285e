import json

import numpy as np
import pandas as pd
import pytest
import torch

from variad.core.tables import read_table, write_table
from variad.generation.prompts import best_and_worst, embed_images, embed_runs, score_prompts, score_table, write_choice


@pytest.fixture
def candidates():
    words = ["moss", "ice", "null", "oil"]
    return pd.DataFrame(
        {
            "round": [0, 0, 1, 1],
            "word": words,
            "relation": ["wordlist"] * 4,
            "prompt": [f"a brick with {word}" for word in words],
        }
    )


def test_a_run_is_the_normalised_mean_of_its_shots():
    embeddings = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([0.0, 1.0])}
    runs = embed_runs(embeddings, {0: ["a"], 3: ["a", "b"]})
    assert runs[0].tolist() == [1, 0]
    assert runs[1].tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_scores_are_cosines():
    images = np.array([[1.0, 0.0], [0.6, 0.8]])
    texts = np.array([[0.0, 1.0], [1.0, 0.0], [-0.6, -0.8]])
    np.testing.assert_allclose(score_prompts(images, texts), [[0, 1, -0.6], [0.8, 0.6, -1]])


def test_images_are_embedded_in_batches_of_unit_range():
    class Brightness:
        def encode_image(self, images):
            assert images.shape[1] == 3
            return images.amax(dim=(2, 3))

    images = np.zeros((40, 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(40)
    images[:, 0, 0, 2] = 255
    found = embed_images(Brightness(), images)
    assert found[:, 0].mul(255).round().tolist() == list(range(40))
    assert found[:, 2].tolist() == [1] * 40


def test_table_has_every_score_of_every_run(candidates, tmp_path):
    similarity = np.array([[0.1, 0.2, 0.3, 0.4], [-0.5, 0.6, 0.12345678, 1.0]], np.float32)
    table = score_table(candidates, [0, 2], similarity)
    write_table(tmp_path / "scores.csv", table, "prompt_scores")
    again = read_table(tmp_path / "scores.csv", "prompt_scores")
    assert list(again["run"]) == [0] * 4 + [2] * 4
    assert list(again["word"]) == ["moss", "ice", "null", "oil"] * 2
    assert again["similarity"].tolist() == [0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.123457, 1.0]


def test_best_of_each_round_then_of_these_is_the_best_of_all():
    generator = np.random.default_rng(0)
    words = [f"word{index}" for index in range(60)]
    candidates = pd.DataFrame({"round": np.arange(60) // 7, "word": words, "prompt": words})
    table = score_table(candidates, range(5), generator.uniform(-1, 1, (5, 60)).astype(np.float32))
    for entry in best_and_worst(table):
        rows = table[table["run"] == entry["run"]]
        rounds = [best_and_worst(part)[0] for _, part in rows.groupby("round")]
        assert entry["best"] == max((each["best"] for each in rounds), key=lambda each: each["similarity"])
        assert entry["worst"] == min((each["worst"] for each in rounds), key=lambda each: each["similarity"])


def test_of_equals_the_first_is_chosen(candidates):
    (entry,) = best_and_worst(score_table(candidates, [4], np.array([[0.1, 0.7, 0.7, 0.1]], np.float32)))
    assert entry == {
        "run": 4,
        "best": {"word": "ice", "prompt": "a brick with ice", "similarity": 0.7},
        "worst": {"word": "moss", "prompt": "a brick with moss", "similarity": 0.1},
    }


def test_choice_file(candidates, tmp_path):
    scores = score_table(candidates, [0, 1], np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]], np.float32))
    path = tmp_path / "choice.json"
    write_choice(path, scores, encoder="conse", word_source="wordlist", class_name="Ziegel, grün")
    content = json.loads(path.read_text("utf-8"))
    assert {key: content[key] for key in ("encoder", "word_source", "class_name")} == {
        "encoder": "conse",
        "word_source": "wordlist",
        "class_name": "Ziegel, grün",
    }
    assert [(run["run"], run["best"]["word"], run["worst"]["word"]) for run in content["runs"]] == [
        (0, "oil", "moss"),
        (1, "moss", "oil"),
    ]
