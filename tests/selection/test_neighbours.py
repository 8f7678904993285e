"""Nearest-neighbour candidates against the definition, image by image."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.core.errors import UserError
from variad.networks.backbones import Backbone
from variad.networks.features import to_tensor
from variad.selection.neighbours import Neighbours, nearest_distance
from variad.selection.trials import ImagePool, Trial, score_trials

SCORES = ("pooled_1", "pooled_3", "patch_maximum", "patch_mean")


class Averages(Backbone):
    """Two layers without weights: averages of blocks of pixels, and their squares."""

    calls = 0

    def __init__(self):
        super().__init__(
            "averages", ["fine", "coarse"], {"fine": 4, "coarse": 8}, {"fine": 3, "coarse": 3}, [0.0] * 3, [1.0] * 3
        )

    def _features(self, normalised):
        self.calls += len(normalised)
        return {"fine": functional.avg_pool2d(normalised, 4), "coarse": functional.avg_pool2d(normalised, 8) ** 2}


@pytest.fixture
def pool():
    return np.random.default_rng(0).integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)


def candidates(**changes):
    settings = {"resolutions": [32, 16], "scores": SCORES, "grid": 5, "bank_patches": 10**6} | changes
    return Neighbours(Averages(), **settings)


def naive(backbone, pool, trial, layer, side, grid):
    """Scores of every query, with loops."""
    features = []
    for row in range(len(pool)):
        image = to_tensor(pool[row : row + 1])
        if side != 32:
            image = functional.interpolate(image, (side, side), mode="bilinear", antialias=True)
        layer_map = backbone(image)[layer][0]
        cells = functional.adaptive_avg_pool2d(layer_map, min(grid, layer_map.shape[1]))
        features.append((layer_map.mean(dim=(1, 2)).numpy(), cells.flatten(1).T.numpy()))
    found = {name: [] for name in SCORES}
    for query in trial.queries:
        pooled = sorted(np.linalg.norm(features[query][0] - features[bank][0]) for bank in trial.bank)
        found["pooled_1"].append(pooled[0])
        found["pooled_3"].append(np.mean(pooled[:3]))
        bank = np.concatenate([features[row][1] for row in trial.bank])
        nearest = [min(np.linalg.norm(patch - other) for other in bank) for patch in features[query][1]]
        found["patch_maximum"].append(max(nearest))
        found["patch_mean"].append(np.mean(nearest))
    return found


def test_scores_are_those_of_the_definition(pool):
    trials = [
        Trial(0, np.array([0, 3, 2, 5]), np.array([4, 9])),
        Trial(1, np.array([1, 6, 7, 8]), np.array([9, 2, 13])),
    ]
    ours = candidates()
    for trial, scores in zip(trials, ours.score(pool, trials), strict=True):
        assert list(scores) == [row["candidate"] for row in ours.describe()] and len(scores) == 2 * 2 * 4
        for layer in ("fine", "coarse"):
            for side in (32, 16):
                for name, values in naive(ours.backbone, pool, trial, layer, side, 5).items():
                    np.testing.assert_allclose(scores[f"{layer}/{side}/{name}"], values, atol=2e-4)


def test_a_score_depends_on_its_image_and_its_bank_alone(pool):
    bank = np.array([0, 1, 2])
    both = candidates().score(pool, [Trial(0, bank, np.arange(3, 14)), Trial(1, bank + 5, np.array([4]))])
    alone = candidates().score(pool, [Trial(0, bank, np.array([12]))])
    for name, values in alone[0].items():
        np.testing.assert_allclose(values, both[0][name][[9]], rtol=1e-5)


def test_an_image_of_the_bank_is_no_anomaly(pool):
    scores = candidates(scores=["pooled_1", "patch_maximum"]).score(pool, [Trial(0, np.arange(5), np.array([2]))])
    assert max(float(values[0]) for values in scores[0].values()) < 2e-3


def test_each_image_is_seen_once_a_resolution_as_query_and_once_as_bank(pool):
    trials = [Trial(run, np.array([0, 1]), np.array([2, 3, 4])) for run in range(3)]
    ours = candidates()
    score_trials(ours, pool, trials)
    assert ours.backbone.calls == 2 * (2 + 3)


def test_the_bank_is_thinned_the_same_way_every_time(pool):
    trial = [Trial(0, np.arange(6), np.arange(6, 12))]
    thin, again, whole, other = (
        candidates(bank_patches=number, seed=seed).score(pool, trial)[0]
        for number, seed in ((20, 0), (20, 0), (10**6, 0), (20, 1))
    )
    name = "fine/32/patch_mean"
    np.testing.assert_array_equal(thin[name], again[name])
    assert (thin[name] >= whole[name] - 1e-6).all() and (thin[name] > whole[name]).any()
    assert (thin[name] != other[name]).any()


def test_nearest_distance():
    patches = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    assert torch.allclose(nearest_distance(patches, torch.tensor([[0.0, 1.0], [3.0, 0.0]])), torch.tensor([[1.0, 4.0]]))


def test_unknown_score():
    with pytest.raises(UserError, match="expected scores pooled_k, patch_maximum or patch_mean, found 'pooled_0'"):
        candidates(scores=["pooled_0"])


def test_a_pool_keeps_equal_images_once(pool):
    images = ImagePool()
    assert images.add(pool[:3]).tolist() == [0, 1, 2]
    assert images.add(pool[[2, 5, 5]]).tolist() == [2, 3, 3]
    np.testing.assert_array_equal(images.images, pool[[0, 1, 2, 5]])


class Recorder:
    """Candidates whose score is the row itself plus the bank's first row times a hundred."""

    def __init__(self):
        self.seen = []

    def score(self, pool, trials):
        self.seen.append(trials)
        return [{"c": trial.queries + 100.0 * trial.bank[0]} for trial in trials]


def test_trials_of_one_bank_are_brought_together(pool):
    recorder, bank = Recorder(), np.array([7, 8])
    trials = [
        Trial(0, bank, np.array([3, 1])),
        Trial(0, bank, np.array([1, 2])),
        Trial(1, bank, np.array([5])),
        Trial(0, np.array([8, 7]), np.array([1])),
    ]
    results = score_trials(recorder, pool, trials)
    assert [one["c"].tolist() for one in results] == [[703, 701], [701, 702], [705], [801]]
    assert [trial.queries.tolist() for trial in recorder.seen[0]] == [[1, 2, 3], [5], [1]]
