"""The choice among unlabelled images: hand-counted scores on tiny patches, and what it must not depend on."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tests.memory import ROOT, measured
from variad.core.errors import UserError
from variad.core.records import read_features
from variad.core.tables import read_table, write_table
from variad.detectors.memory_bank import embed_patches
from variad.selection import picture_distances, unlabelled
from variad.selection.picture_distances import distance_between, grid_patches, nearest_at_any_turn, nearest_by_image
from variad.selection.settings import TURNED_REFERENCES, TURNS
from variad.selection.unlabelled import (
    ChoiceFiles,
    ChoiceSettings,
    choose_unlabelled,
    cut_of,
    grown_scores,
    in_drawn_order,
    kept_by_itself,
    mutual_scores,
    shortest_half,
    shot_scores,
)
from variad.study.configuration import resolve

KEY = ("mine", "lid")
SCORES = ["shot", "mutual", "both", "rounds"]
SHOTS = ["train/good/0", "train/good/1"]


def line(*places: list[float]) -> np.ndarray:
    """Pictures whose patches are points on a line."""
    return np.array(places, np.float32)[..., None]


# pictures of two patches; the last one has a patch like no other's
PICTURES = line([0, 10], [1, 10], [2, 11], [0, 30])
EVERY = np.arange(4)


def test_distances_are_to_the_nearest_patch_of_each_other_picture():
    expected = [  # by picture, patch, other picture
        [[0, 1, 2, 0], [0, 0, 1, 10]],
        [[1, 0, 1, 1], [0, 0, 1, 10]],
        [[2, 1, 0, 2], [1, 1, 0, 11]],
        [[0, 1, 2, 0], [20, 20, 19, 0]],
    ]
    # one product of centred float32 vectors: squares are right to a few 1e-5
    assert nearest_by_image(PICTURES) == pytest.approx(np.array(expected), abs=0.01)
    assert nearest_by_image(PICTURES, PICTURES[[2]])[:, :, 0] == pytest.approx(np.array(expected)[:, :, 2], abs=0.01)


@pytest.fixture
def many() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(11, 6, 9)).astype(np.float32)


def plainly(patches: np.ndarray, others: np.ndarray) -> np.ndarray:
    differences = patches[:, :, None, None].astype(np.float64) - others[None, None]
    return np.sqrt((differences**2).sum(-1)).min(axis=3)


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_blocks_change_nothing(many, size, monkeypatch):
    monkeypatch.setattr(picture_distances, "_BLOCK", size)
    among, apart = nearest_by_image(many), nearest_by_image(many, many[:7])
    expected = plainly(many, many)
    own = np.eye(11, dtype=bool)[:, None] & np.ones((11, 6, 11), bool)
    assert among[~own] == pytest.approx(expected[~own], rel=1e-4)
    assert among[own].max() < 0.01
    assert apart == pytest.approx(among[:, :, :7], abs=2e-3)


def test_torch_computes_the_same(many, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(picture_distances, "_BLOCK_ON_GPU", 4)
    torch_minima = picture_distances._minima_with_torch("cpu")
    monkeypatch.setattr(picture_distances, "_minima_with_torch", lambda device: torch_minima)
    assert nearest_by_image(many, device="cuda") == pytest.approx(nearest_by_image(many), abs=2e-3)
    others = many[:5] + 1
    assert nearest_by_image(many, others, "cuda") == pytest.approx(nearest_by_image(many, others), abs=2e-3)


def test_the_mutual_score_is_the_worst_patchs_mean_of_its_lowest_distances():
    between = nearest_by_image(PICTURES)
    # of three others the lowest tenth is one, and two of three at .67
    assert mutual_scores(between, EVERY) == pytest.approx([0, 1, 1, 19], abs=0.01)
    assert mutual_scores(between, EVERY, 0.67) == pytest.approx([0.5, 1, 1.5, 19.5], abs=0.01)
    # what is no reference is compared with all of them
    assert mutual_scores(between[3:, :, :2], np.array([-1])) == pytest.approx([20], abs=0.01)


def test_the_shots_score_is_the_farthest_patchs_distance():
    to_shots = nearest_by_image(PICTURES, line([0, 10], [5, 12]))
    assert to_shots.min(axis=2) == pytest.approx(np.array([[0, 0], [1, 0], [2, 1], [0, 18]]), abs=0.01)
    assert shot_scores(to_shots) == pytest.approx([0, 1, 2, 18], abs=0.01)


def test_candidates_join_the_shots_in_rounds():
    pictures = line([1], [2], [3], [9])
    to_shots, between = nearest_by_image(pictures, line([0])), nearest_by_image(pictures)
    # [1] joins first, so that [2] is 1 away from what has joined; then both have, and [3] is 1 away and [9] 7
    assert grown_scores(to_shots, between, EVERY, 0.5, 2) == pytest.approx([1, 1, 1, 7], abs=0.01)
    # a quarter in one round: [1] alone
    assert grown_scores(to_shots, between, EVERY, 0.25, 1) == pytest.approx([1, 1, 2, 8], abs=0.01)
    # what joined does not explain itself: [9] stays 6 from [3] when all join
    assert grown_scores(to_shots, between, EVERY, 1, 1) == pytest.approx([1, 1, 1, 6], abs=0.01)
    # pictures that stand for no others cannot join
    none = np.full(4, -1)
    assert grown_scores(to_shots, between[:, :, :0], none, 1, 3) == pytest.approx([1, 2, 3, 9], abs=0.01)


def test_a_part_is_kept_by_number_of_pictures():
    scores = np.array([4.0, 1, 3, 2, 5])
    assert [cut_of(scores, keep) for keep in (0.01, 0.2, 0.4, 0.6, 0.75, 1)] == [1, 1, 2, 3, 4, 5]


def test_the_shortest_half_is_where_values_are_densest():
    assert shortest_half(np.array([7.0])) == (7, 7)
    assert shortest_half(np.array([1.0, 5])) == (1, 1)
    assert shortest_half(np.array([4.0, 1, 2])) == (1, 2)
    assert shortest_half(np.array([20, 0, 5, 5.1, 5.3, 6, 9])) == (5, 6)  # four of seven


def test_a_tail_is_cut_two_spreads_above_the_centre():
    # four of seven logarithms lie within 1.5, around 2.75; below it 2.75, 2.25, 0.75, 0.65 and 0.55 away: median 0.75
    scores, spread = np.exp([0, 0.5, 2, 2.1, 2.2, 3.5, 9]), 1.4826 * 0.75 * (1 + 4 / 7)
    assert 2.75 + 3 * spread < 9  # one of seven is a tail
    assert kept_by_itself(scores) == pytest.approx(np.exp(2.75 + 2 * spread))
    assert kept_by_itself(5 * scores) == pytest.approx(5 * np.exp(2.75 + 2 * spread))  # no unit of its own


def test_without_a_tail_only_what_is_far_off_is_left_out():
    scores, spread = np.exp([0, 0.5, 2, 2.1, 2.2, 3.5, 6]), 1.4826 * 0.75 * (1 + 4 / 7)
    assert 2.75 + 3 * spread > 6
    assert kept_by_itself(scores) == pytest.approx(np.exp(2.75 + 4 * spread))
    # one of a hundred is no tail
    quantiles = norm.ppf((np.arange(99) + 0.5) / 99)
    for odd, kept in ((3.4, 100), (5, 99)):
        many = np.exp([*quantiles, odd])
        assert (many <= kept_by_itself(many)).sum() == kept


def test_a_tail_of_defects_is_cut_and_a_clean_pile_is_kept():
    generator = np.random.default_rng(1)
    normal, defective = generator.lognormal(2, 0.1, 120), generator.lognormal(2.8, 0.2, 30)
    cut = kept_by_itself(np.concatenate([normal, defective]))
    assert (normal <= cut).mean() > 0.9 and (defective <= cut).mean() < 0.05
    assert (normal <= kept_by_itself(normal)).all()


def test_at_least_half_is_kept():
    assert kept_by_itself(np.array([1.0, 1, 1, 1, 6, 7, 8, 9])) == 1  # no spread around the centre
    assert kept_by_itself(np.ones(4)) == 1
    assert kept_by_itself(np.array([0, 0, 0, 4.0])) == 0  # copies of the shots
    assert kept_by_itself(np.array([0, 4.0, 4.0, 4.0])) == 4  # one copy is no spread


def test_patches_are_means_over_a_coarser_grid(tmp_path):
    maps = np.random.default_rng(0).normal(size=(3, 28, 28, 5)).astype(np.float32)
    write_features(tmp_path / "fine.h5", ["a", "b", "c"], fine=maps, coarse=maps[:, ::2, ::2])
    found = grid_patches(tmp_path / "fine.h5", ["c", "a"], 0, KEY)
    embedded = embed_patches(read_features(tmp_path / "fine.h5", ["fine", "coarse"], [2, 0]))
    expected = embedded.reshape(2, 14, 2, 14, 2, 10).mean(axis=(2, 4)).reshape(2, 196, 10)
    assert found == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="expected features of image d, found no such image_id"):
        grid_patches(tmp_path / "fine.h5", ["d"], 0, KEY)


def test_a_grid_that_is_not_a_multiple_is_pooled_adaptively(tmp_path):
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(1, 16, 9, 2)).astype(np.float32)
    write_features(tmp_path / "odd.h5", ["a"], one=maps)
    found = grid_patches(tmp_path / "odd.h5", ["a"], 0, KEY)
    embedded = torch.from_numpy(embed_patches({"one": maps})).permute(0, 3, 1, 2)
    expected = torch.nn.functional.adaptive_avg_pool2d(embedded, (14, 9)).permute(0, 2, 3, 1).reshape(1, 14 * 9, 2)
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


def test_long_patches_are_projected_into_one_space(tmp_path):
    maps = np.random.default_rng(0).normal(size=(40, 1, 1, 700)).astype(np.float32)  # more than are read at once
    write_features(tmp_path / "long.h5", [str(row) for row in range(40)], one=maps)
    found = grid_patches(tmp_path / "long.h5", [str(row) for row in range(40)], 0, KEY)
    assert found.shape == (40, 1, 512)
    whole = nearest_by_image(embed_patches({"one": maps}).reshape(40, 1, 700))
    apart = ~np.eye(40, dtype=bool)[:, None]
    assert nearest_by_image(found)[apart] == pytest.approx(whole[apart], rel=0.2)


def write_features(path, image_ids, **layers):
    with h5py.File(path, "w") as file:
        file.create_dataset("image_id", data=image_ids, dtype=h5py.string_dtype())
        file.attrs["extractor"] = json.dumps({"layers": list(layers)})
        for name, values in layers.items():
            file[name] = values


def pile(folder, shown, names=None, features=None):
    """Files of candidates that show some of ten pictures, of which 8 and 9 are odd, or a shot, and of two shots.

    With ``features`` of these and of one shot, they show those.
    """
    generator = np.random.default_rng(3)
    pictures = generator.normal(size=(10, 4, 4, 6)).astype(np.float32) * 0.1
    pictures[8:, 1, 1] += 5
    pictures[9, 1, 1] *= 3
    names = names or [f"unlabelled/{place}" for place in range(len(shown))]
    with h5py.File(folder / "images.h5", "w") as file:
        file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
        file.create_dataset("pixels", data=[f"hash {picture}" for picture in shown], dtype=h5py.string_dtype())
    shots = generator.normal(size=(2, 4, 4, 6)).astype(np.float32) * 0.1
    if features is None:
        features = np.concatenate([np.concatenate([pictures, shots])[shown], shots[:1]])
    else:
        shots = np.repeat(features[-1:], 2, axis=0)
    write_features(folder / "features.h5", names, one=features[:-1])
    write_features(folder / "shots.h5", SHOTS, one=shots)
    with h5py.File(folder / "train.h5", "w") as file:
        file.create_dataset("image_id", data=SHOTS, dtype=h5py.string_dtype())
        file.create_dataset("pixels", data=["hash 10", "hash 11"], dtype=h5py.string_dtype())
    return ChoiceFiles(folder / "images.h5", folder / "features.h5", folder / "train.h5", folder / "shots.h5")


def pool_of(*runs):
    rows = [(run, f"unlabelled/{place}") for run, places in enumerate(runs) for place in places]
    return pd.DataFrame(rows, columns=["run", "image_id"])


def chosen(files, pool, score="mutual", keep="auto", **changes):
    shots = {run: [f"train/good/{run % 2}"] for run in range(4)}
    settings = ChoiceSettings(score, keep, **changes)
    return choose_unlabelled(pool, shots, files, settings, seed=0, key=KEY)


@pytest.mark.parametrize("score", SCORES)
def test_odd_pictures_are_left_out(tmp_path, score):
    files = pile(tmp_path, list(range(10)))
    table = chosen(files, pool_of(range(10), [8, *range(8)]), score, 0.8)
    write_table(tmp_path / "chosen.csv", table, "chosen")
    table = read_table(tmp_path / "chosen.csv", "chosen")
    assert list(table["run"]) == [0] * 10 + [1] * 9
    for run, odd in ((0, {"unlabelled/8", "unlabelled/9"}), (1, {"unlabelled/8"})):
        part = table[table["run"] == run]
        assert part["score"].is_monotonic_increasing
        assert (part["kept"] == (part["score"] <= part["cut"])).all() and part["cut"].nunique() == 1
        assert part["kept"].sum() == round(0.8 * len(part))
        assert odd.isdisjoint(part.loc[part["kept"], "image_id"])


@pytest.mark.parametrize("score", SCORES)
def test_left_to_itself_the_cut_finds_the_odd_ones(tmp_path, score):
    table = chosen(pile(tmp_path, list(range(10))), pool_of(range(10)), score)
    assert {"unlabelled/8", "unlabelled/9"}.isdisjoint(table.loc[table["kept"], "image_id"])
    assert 5 <= table["kept"].sum() <= 8


@pytest.mark.parametrize("score", SCORES)
def test_a_run_knows_its_own_candidates_alone(tmp_path, score):
    files = pile(tmp_path, list(range(10)))
    together = chosen(files, pool_of([0, 1, 2, 3], range(10), [4, 5, 6, 8]), score)
    alone = chosen(files, pool_of([0, 1, 2, 3]), score)
    part = together[together["run"] == 0]
    assert part["image_id"].tolist() == alone["image_id"].tolist()
    assert part["score"].tolist() == pytest.approx(alone["score"].tolist(), rel=1e-3)


@pytest.mark.parametrize("score", SCORES)
def test_names_and_order_change_nothing(tmp_path, score):
    """Nor do labels, which only a name or an order could tell: no file of the choice holds any."""
    (tmp_path / "other").mkdir()
    pool = pool_of(range(10), range(1, 9))
    before = chosen(pile(tmp_path, list(range(10))), pool, score)
    order = np.random.default_rng(0).permutation(10)
    swapped = [f"unlabelled/{'defect' if place < 8 else 'good'}/{place}" for place in range(10)]
    files = pile(tmp_path / "other", order.tolist(), [swapped[place] for place in order])
    other_name = {f"unlabelled/{place}": name for place, name in enumerate(swapped)}
    renamed = pool.replace({"image_id": other_name}).sample(frac=1, random_state=0)
    after = chosen(files, renamed, score).set_index(["run", "image_id"]).sort_index()
    before = before.replace({"image_id": other_name}).set_index(["run", "image_id"]).sort_index()
    assert after["score"].tolist() == pytest.approx(before["score"].tolist(), rel=1e-3)
    assert after["kept"].tolist() == before["kept"].tolist()


@pytest.mark.parametrize("score", ["mutual", "rounds", "both"])
def test_copies_do_not_explain_each_other(tmp_path, score):
    """A defect that was photographed into the pile five times is as odd as one that lies there once."""
    (tmp_path / "copied").mkdir()
    once = chosen(pile(tmp_path, list(range(10))), pool_of(range(10)), score)
    copied = chosen(pile(tmp_path / "copied", [*range(10), 9, 9, 9, 9, 0]), pool_of(range(15)), score)
    scores = dict(zip(copied["image_id"], copied["score"], strict=True))
    assert len({scores[f"unlabelled/{place}"] for place in (9, 10, 11, 12, 13)}) == 1
    assert scores["unlabelled/14"] == scores["unlabelled/0"]
    for name, value in zip(once["image_id"], once["score"], strict=True):
        assert scores[name] == pytest.approx(value, rel=1e-3)
    assert copied["cut"].iloc[0] == pytest.approx(once["cut"].iloc[0], rel=1e-3)


@pytest.mark.parametrize("score", SCORES)
def test_a_pile_of_five_copies_of_every_picture_is_chosen_from_as_one_of_each(tmp_path, score):
    (tmp_path / "copied").mkdir()
    once = chosen(pile(tmp_path, list(range(10))), pool_of(range(10)), score)
    copied = chosen(pile(tmp_path / "copied", 5 * list(range(10))), pool_of(range(50)), score).set_index("image_id")
    assert len(copied) == 50 and copied["cut"].to_numpy() == pytest.approx(once["cut"].iloc[0], rel=1e-3)
    for name, value, kept in once[["image_id", "score", "kept"]].itertuples(index=False):
        place = int(name.split("/")[1])
        copies = copied.loc[[f"unlabelled/{place + 10 * number}" for number in range(5)]]
        assert copies["score"].to_numpy() == pytest.approx(value, rel=1e-3) and (copies["kept"] == kept).all()
    assert not once["kept"].all()


@pytest.mark.parametrize("score", SCORES)
def test_a_copy_of_a_shot_is_kept_and_moves_no_limit(tmp_path, score):
    """Its score, about nothing, would make the spread of the others so large that all of a small pile were kept."""
    (tmp_path / "copied").mkdir()
    few = [0, 1, 2, 3, 9]
    without = chosen(pile(tmp_path, few), pool_of(range(5)), score)
    files = pile(tmp_path / "copied", [*few, 10, 10])
    table = chosen(files, pool_of(range(7), range(7)), score)
    copied = table[table["run"] == 0].set_index("image_id")
    for name in ("unlabelled/5", "unlabelled/6"):
        assert copied.loc[name, "score"] == 0 and copied.loc[name, "kept"]
    others = copied.loc[without["image_id"]]
    assert others["score"].tolist() == pytest.approx(without["score"].tolist(), rel=1e-3)
    assert others["kept"].tolist() == without["kept"].tolist() and not others.loc["unlabelled/4", "kept"]
    # run 1 has the other shot, to which these two are photographs like any
    assert table.loc[table["run"] == 1, "score"].min() > 0.01
    for keep in ("auto", 0.2):
        alone = chosen(pile(tmp_path / "copied", [10, 10]), pool_of(range(2)), score, keep)
        assert alone["score"].tolist() == [0, 0] and alone["kept"].all()


def test_a_large_pile_is_compared_with_some_of_it(tmp_path, monkeypatch):
    files, pool = pile(tmp_path, list(range(10))), pool_of(range(10))
    whole = chosen(files, pool)
    monkeypatch.setattr(unlabelled, "REFERENCES", 10)
    pd.testing.assert_frame_equal(chosen(files, pool), whole)
    monkeypatch.setattr(unlabelled, "REFERENCES", 6)
    shots = grid_patches(files.shot_features, ["train/good/0"], 0, KEY)
    some = chosen(files, pool)
    order = in_drawn_order({f"hash {place}" for place in range(10)}, 0, KEY)
    rows = [int(name.split()[1]) for name in order]
    patches = grid_patches(files.features, [f"unlabelled/{row}" for row in rows], 0, KEY)
    own = np.array([*range(6), -1, -1, -1, -1])
    expected = mutual_scores(nearest_by_image(patches, np.concatenate([patches[:6], shots])), own)
    scores = dict(zip(some["image_id"], some["score"], strict=True))
    assert [scores[f"unlabelled/{row}"] for row in rows] == pytest.approx(expected, rel=1e-4)
    assert some["image_id"].tolist()[-1] == "unlabelled/9"


def test_the_best_of_all_turns_counts():
    """Two patches, 0 and 10, and one other picture: a patch at 4 as it lies, at 9 and at 1 when it is turned."""
    patches, other = line([0, 10]), line([4])
    found = nearest_at_any_turn(nearest_by_image(patches, other), patches, [line([9]), line([1])])
    assert found[0, :, 0] == pytest.approx([1, 1], abs=1e-3)
    assert nearest_at_any_turn(nearest_by_image(patches, other), patches, [])[0, :, 0] == pytest.approx(
        [4, 6], abs=1e-3
    )


def dial(angle, odd=False):
    """Features of a picture: a hand that points in one of eight directions, and a flaw."""
    features = np.zeros((1, 1, 9), np.float32)
    features[..., angle % 8], features[..., 8] = 9, 18 * odd  # nine, as a patch is the mean over 3 x 3 positions
    return features


class Dials:
    """A pile of dials, most of which point up, with one at a rare angle and a flawed one; and how to turn them."""

    def __init__(self, folder, upright=18):
        shown = [(0, False)] * upright + [(3, False), (5, True)]
        noise = np.random.default_rng(0).normal(size=(len(shown) + 1, 1, 1, 9)) * 0.1
        self.rare, self.flawed = f"unlabelled/{upright}", f"unlabelled/{upright + 1}"
        self.shown = dict(zip([f"unlabelled/{place}" for place in range(len(shown))], shown, strict=True))
        self.shown["train/good/0"] = (0, False)
        self.noise = dict(zip(self.shown, noise.astype(np.float32), strict=True))
        self.files = pile(folder, list(range(len(shown))), features=np.stack([self.of(name) for name in self.shown]))
        self.asked = []

    def of(self, name, eighths=0):
        angle, odd = self.shown[name]
        return dial(angle + eighths, odd) + self.noise[name]

    def turned(self, images, names, degrees):
        self.asked.append((str(images), degrees, len(names)))
        return {"one": np.stack([self.of(name, round(degrees / 45)) for name in names])}

    def chosen(self, score="mutual", turned=True):
        pool, shots = pool_of(range(len(self.shown) - 1)), {0: ["train/good/0"]}
        how = self.turned if turned else None
        settings = ChoiceSettings(score)
        return choose_unlabelled(pool, shots, self.files, settings, seed=0, key=KEY, turned=how).set_index("image_id")


@pytest.mark.parametrize("score", SCORES)
def test_a_rare_angle_is_no_defect_where_the_product_turns(tmp_path, score):
    """Nor does a flaw explain itself: its own turned copies, which have it too, do not count."""
    dials = Dials(tmp_path)
    as_they_lie, turned = dials.chosen(score, turned=False), dials.chosen(score)
    assert as_they_lie.loc[dials.rare, "score"] > 1 and not as_they_lie.loc[dials.rare, "kept"]
    assert turned.loc[dials.rare, "score"] < 0.2 and turned.loc[dials.flawed, "score"] > 1.5
    assert turned.index[-1] == dials.flawed and not turned.loc[dials.flawed, "kept"]
    assert {degrees for _, degrees, _ in dials.asked} == set(TURNS)
    assert turned["strangeness"].sort_index().tolist() == as_they_lie["strangeness"].sort_index().tolist()


def test_some_of_a_large_pile_are_turned(tmp_path):
    dials = Dials(tmp_path, upright=60)
    table = dials.chosen()
    counts = {}
    for images, _, count in dials.asked:
        counts[images] = counts.get(images, 0) + count
    assert counts == {str(dials.files.images): 7 * TURNED_REFERENCES, str(dials.files.shot_images): 7}
    assert table.loc[dials.rare, "score"] < 0.2 and table.index[-1] == dials.flawed


def test_which_stand_for_a_large_pile_is_random(tmp_path):
    pictures = {f"hash {place}" for place in range(40)}
    assert in_drawn_order(pictures, 0, KEY) != in_drawn_order(pictures, 1, KEY)
    assert sorted(in_drawn_order(pictures, 0, KEY)) == sorted(pictures)


def test_no_candidates_are_an_empty_table(tmp_path):
    table = chosen(pile(tmp_path, []), pool_of())
    write_table(tmp_path / "chosen.csv", table, "chosen")
    assert read_table(tmp_path / "chosen.csv", "chosen").empty


def test_how_far_two_pictures_usually_are():
    """Pictures of one patch at 0, 1, 3: the medians of the distances to the others are 2, 1.5 and 2.5."""
    patches = np.array([0, 1, 3], np.float32).reshape(3, 1, 1)
    assert distance_between(patches) == pytest.approx(2.0)
    assert np.isnan(distance_between(patches[:1]))


def test_strangeness_is_the_distance_from_the_shots_over_the_usual_one(tmp_path):
    files = pile(tmp_path, list(range(8)))
    own = chosen(files, pool_of(range(8)))["strangeness"]
    assert own.between(0.5, 1.5).all() and 0.8 < own.median() < 1.2
    with h5py.File(files.shot_features, "a") as file:  # shots of something else
        file["one"][...] += 5
    assert (chosen(files, pool_of(range(8)))["strangeness"] > 3).all()
    assert chosen(pile(tmp_path, [0]), pool_of(range(1)), keep=1.0)["strangeness"].isna().all()


@pytest.mark.parametrize("score", ["shot", "mutual", "both", "rounds"])
def test_two_pictures_are_too_few_to_tell_good_from_bad(tmp_path, score):
    files = pile(tmp_path, [0, 1, 1])
    table = chosen(files, pool_of(range(3)), score)
    assert len(table) == 3 and not table["kept"].any() and (table["score"] > 0).all()
    assert chosen(files, pool_of(range(3)), score, 1.0)["kept"].all()
    assert not chosen(pile(tmp_path, [0]), pool_of(range(1)), score)["kept"].any()


def test_a_candidate_without_an_image_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"images\.h5: expected the candidate unlabelled/7, found no such image_id"):
        chosen(pile(tmp_path, [0, 1, 2]), pool_of([0, 1, 7]))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"keep": 0}, "keep: expected auto, or a part above 0 and at most 1, found 0."),
        ({"keep": 1.2}, "keep: expected auto, or a part above 0 and at most 1, found 1.2."),
        ({"score": "label"}, "score: expected one of shot, mutual, both, rounds, found 'label'."),
        ({"rounds": 0}, "rounds: expected at least 1, found 0."),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        ChoiceSettings(**wrong)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"keep": 0}, "pile.keep: expected more than 0, found 0."),
        ({"keep": "most"}, "pile.keep: expected auto, or a part above 0 and at most 1, found 'most'."),
        (
            {"score": "label"},
            "pile.score: expected one of ['shot', 'mutual', 'both', 'rounds'], found 'label'.",
        ),
        ({"rounds": 0}, "pile.rounds: expected at least 1, found 0."),
        ({"extractor": "eye"}, "pile.extractor: expected one of extractors ("),
    ],
)
def test_keys_that_mean_nothing_are_refused(keys, sentence):
    sets = {"original": {"method": "none"}, "pile": {"method": "unlabelled", **keys}}
    study = {"scenarios": ["one_shot"], "training_sets": list(sets), "detectors": ["patchcore"]}
    predict = {"scenario": "one_shot", "training_set": "original", "detector": "patchcore"}
    with pytest.raises(UserError) as refused:
        resolve({"training_sets": sets, "study": study, "predict": predict}, ROOT / "config/config.yaml")
    assert str(refused.value).startswith(f"config key training_sets.{sentence}")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_square_of_the_pile():
    """All distances between the patches of 1,000 pictures would be 143 GiB; those to 300 of them by picture are 0.2."""
    code = """
import numpy as np
from variad.selection.picture_distances import nearest_by_image
from variad.selection.unlabelled import mutual_scores
patches = np.random.default_rng(0).normal(size=(1000, 196, 8)).astype(np.float32)
own = np.where(np.arange(1000) < 300, np.arange(1000), -1)
result = len(mutual_scores(nearest_by_image(patches, patches[:300]), own))
"""
    result, peak = measured(code)
    assert result == 1000 and peak < 1
