"""Templates as detectors: the sets of the second document, and the score by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.selection.settings import FILE, find_templates, template_sets
from variad.selection.templates import Templates, anomaly_logit
from variad.selection.trials import Trial


class Encoder:
    """Images by their mean colour, texts by hand."""

    name, resolution, context_length = "toy", 8, 77

    def __init__(self):
        self.texts = []

    def encode_image(self, images):
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)), dim=-1)

    def encode_text(self, texts):
        self.texts = list(texts)
        vectors = {"a photo of a nut": [1.0, 0, 0], "a photo of something": [0, 1.0, 0]}
        return torch.tensor([vectors.get(text, [0, 0, 1.0]) for text in texts])


def test_sets_are_those_of_the_document():
    sets = template_sets()
    assert set(sets) == {"flowers", "cub", "mvtec"}
    for name, noun in (("flowers", "flower"), ("cub", "bird"), ("mvtec", "")):
        assert len(sets[name]) == len(set(sets[name])) == 10
        for normal, anomalous in sets[name]:
            assert normal.count("{}") == 1 and "{}" not in anomalous
            some = f"some {noun}" if noun else "something"
            assert normal.endswith(noun) or f"{noun} for" in normal
            assert re.sub(r"a \{\}" + (f" {noun}" if noun else ""), some, normal) == anomalous or some in anomalous
    assert sets["cub"][8] == ("a photo of a small {} bird", "a photo of a small some bird")
    assert "A.4" in Path(FILE).read_text("utf-8")


def weight(images, normal, anomalous, scale):
    """Softmax weight of the anomalous prompt, ``[B]``."""
    return torch.stack([scale * images @ normal, scale * images @ anomalous], dim=1).softmax(dim=1)[:, 1]


def test_logit_by_hand():
    images = torch.tensor([[0.8, 0.6], [0.6, 0.8]])
    normal, anomalous = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert anomaly_logit(images, normal, anomalous).tolist() == pytest.approx([-20, 20], rel=1e-5)
    assert anomaly_logit(images, normal, anomalous, scale=2.0).sigmoid().tolist() == pytest.approx(
        weight(images, normal, anomalous, 2.0).tolist()
    )


def test_the_logit_orders_images_where_the_weight_is_rounded_to_one():
    images = torch.nn.functional.normalize(torch.tensor([[0.1, 1.0], [0.0, 1.0]]), dim=1)
    normal, anomalous = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert weight(images, normal, anomalous, 100.0).unique().numel() == 1
    assert anomaly_logit(images, normal, anomalous).diff() > 0


def test_scores_of_a_trial_by_hand():
    pool = np.zeros((3, 8, 8, 3), np.uint8)
    pool[0, ..., 0], pool[1, ..., 1], pool[2, ..., :2] = 255, 255, 255
    encoder = Encoder()
    templates = Templates(encoder, [("a photo of a {}", "a photo of something"), ("a {}", "some")], "nut")
    scores = templates.score(pool, [Trial(0, np.array([2]), np.array([2, 0])), Trial(1, np.array([0]), np.array([1]))])
    assert encoder.texts == ["a photo of a nut", "a photo of something", "a nut", "some"]
    assert scores[0]["template_01"].tolist() == pytest.approx([0, -100], abs=1e-4)
    assert scores[1]["template_01"].tolist() == pytest.approx([100])
    assert scores[0]["template_02"].tolist() == [0, 0]
    assert [row["candidate"] for row in templates.describe()] == ["template_01", "template_02"]


def test_unknown_set():
    with pytest.raises(UserError, match="templates: expected a set of flowers, cub, mvtec, found 'imagenet'"):
        find_templates("imagenet")
