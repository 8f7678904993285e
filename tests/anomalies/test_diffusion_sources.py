"""Anomalies in the bottleneck of a diffusion model: no strength is no edit, and only a run's seeds take part."""

import json

import numpy as np
import pytest
import torch

from variad.anomalies.anomaly_file import read_manifest, write_anomalies
from variad.anomalies.ddim import StyleMix, generate, record_h, timesteps
from variad.anomalies.diffusion_sources import (
    Edit,
    Editor,
    Mixer,
    MixSettings,
    choose_pairs,
    make_with_diffusion,
    plan_edits,
)
from variad.anomalies.direction import (
    Direction,
    at_all_times,
    learn_directions,
    learning_times,
    read_directions,
    texts_of_run,
    write_directions,
)
from variad.anomalies.inversions import (
    compute_inversions,
    from_model,
    grey_ones,
    read_inversions,
    resize_all,
    write_inversions,
)
from variad.core.errors import UserError
from variad.core.records import read_images
from variad.core.seeding import seed_sequence, torch_generator
from variad.datasets.sampling import all_image_ids, control_image_ids, read_support

STEPS, T_EDIT = 6, 400
MIX = {"method": "style_mix", "steps": STEPS, "t_edit": T_EDIT, "t_boost": 0, "omega": 1.0, "gamma": 0.7,
       "count": 5, "batch_size": 3}  # fmt: skip
EDIT = {"method": "text_edit", "steps": STEPS, "t_edit": T_EDIT, "strengths": [0.5, 1.0], "count": 7, "batch_size": 4,
        "texts": ["rust", "a web", "oil"], "texts_per_run": 2, "loss": "source_free", "learning_steps": 2,
        "iterations": 6, "learning_rate": 0.05, "keep": 0.1, "per_step": False}  # fmt: skip


@pytest.fixture
def inversions(category, model):
    names = all_image_ids(read_support(category.support))
    return compute_inversions(model, names, read_images(category.images, names), STEPS)


@pytest.fixture
def file(category, inversions):
    path = category.folder / "inversions.h5"
    write_inversions(path, inversions)
    return path


@pytest.fixture
def directions(category, model, encoder, inversions):
    learned = learn_directions(
        EDIT, read_support(category.support), model, encoder, inversions, "a photo of a thing",
        lambda run, text: torch_generator(0, run, text),
    )  # fmt: skip
    write_directions(category.folder / "direction.safetensors", learned)
    return learned


def seed_of(run):
    return seed_sequence(0, "here", run)


def make(category, model, source, file, side=32):
    direction = category.folder / "direction.safetensors"
    support = read_support(category.support)
    return make_with_diffusion(source, support, model, file, direction, side, seed_of)


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int)).max()


def test_inversions_round_trip_and_keep_grey(category, model, inversions, file):
    read = read_inversions(file)
    assert read.image_ids == sorted(read.image_ids) and read.steps == STEPS
    assert torch.equal(read.noise, inversions.noise) and np.array_equal(read.regenerated, inversions.regenerated)
    grey = grey_ones(read_images(category.images, read.image_ids))
    assert torch.equal(read.grey(read.image_ids), grey) and 0 < grey.sum() < len(grey)
    names = read.image_ids[3:5]
    again = generate(model, read.noise_of(names), STEPS)
    assert difference(from_model(again, read.grey(names)), read.regenerated_of(names)) <= 1
    with pytest.raises(UserError, match="expected image nobody, found no such image_id"):
        read.rows(["nobody"])


def test_gamma_0_is_the_style_s_own_regeneration(model, inversions):
    pairs = list(zip(inversions.image_ids[:4], inversions.image_ids[4:8], strict=True))
    mixer = Mixer(model, inversions, batch_size=3)
    styles = [style for style, _ in pairs]
    own = inversions.regenerated_of(styles)
    none, much = (mixer.mix(pairs, MixSettings(gamma=gamma, t_edit=0), torch.Generator()) for gamma in (0.0, 1.0))
    assert difference(none, own) <= 1  # of 255: below 1e-5 before rounding
    assert difference(much, own) > 1
    never = mixer.mix(pairs, MixSettings(gamma=1.0, t_edit=1000), torch.Generator())
    assert difference(never, own) <= 1
    # equal to the generation itself, before rounding
    noise = inversions.noise_of(styles)
    content = record_h(model, inversions.noise_of([content for _, content in pairs]), STEPS)
    mixed = generate(model, noise, STEPS, StyleMix(content, timesteps(model, STEPS), 0.0), 0)
    assert (mixed - generate(model, noise, STEPS)).abs().max() < 1e-5


def test_mixing_does_not_depend_on_the_batch(model, inversions):
    names = inversions.image_ids
    pairs = [(names[0], names[5]), (names[1], names[6]), (names[2], names[5])]
    settings = MixSettings(gamma=0.9, t_edit=0)
    whole = Mixer(model, inversions, 16).mix(pairs, settings, torch.Generator())
    alone = Mixer(model, inversions, 1).mix(pairs[2:], settings, torch.Generator())
    assert difference(whole[2:], alone) <= 1
    assert difference(whole, Mixer(model, inversions, 2).mix(pairs, settings, torch.Generator())) <= 1


def test_alpha_0_is_the_seed_s_own_regeneration(model, inversions, directions):
    text, direction = next(iter(directions[0].items()))
    big = Direction(direction.delta_h * 50, direction.times, [])
    names = inversions.image_ids[:3]
    editor = Editor(model, inversions, t_edit=0, batch_size=2)
    images = editor.edit([Edit(name, text, alpha) for name in names for alpha in (0.0, 1.0)], {text: big})
    own = inversions.regenerated_of(names)
    assert difference(images[::2], own) <= 1
    assert difference(images[1::2], own) > 1


def test_pairs_are_a_part_of_the_cross_product():
    pairs = choose_pairs(["a", "b"], ["x", "y", "z"], 6, np.random.default_rng(0))
    assert sorted(pairs) == [(style, content) for style in "ab" for content in "xyz"]
    assert choose_pairs(["a", "b"], ["x", "y", "z"], 6, np.random.default_rng(1)) != pairs
    assert choose_pairs(["a", "b"], ["x", "y", "z"], 2, np.random.default_rng(0)) == pairs[:2]
    with pytest.raises(UserError, match=r"expected at least 7 pairs, found 2 styles x 3 contents = 6 pairs"):
        choose_pairs(["a", "b"], ["x", "y", "z"], 7, np.random.default_rng(0))


def test_edits_take_all_strengths_of_a_seed_before_the_next():
    plan = plan_edits(["a", "b"], ["rust"], [0.5, 1.0], 3, np.random.default_rng(0))
    assert [edit.alpha for edit in plan] == [0.5, 1.0, 0.5] and plan[0].seed == plan[1].seed != plan[2].seed
    with pytest.raises(UserError, match=r"at least 5 edits of a run, found 2 seeds x 1 texts x 2 strengths = 4"):
        plan_edits(["a", "b"], ["rust"], [0.5, 1.0], 5, np.random.default_rng(0))
    assert [texts_of_run(["a", "b", "c"], run, 2) for run in range(3)] == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_learning_times():
    assert learning_times([900, 700, 500, 300, 100], 400, 2) == [900, 500]
    assert learning_times([900, 700, 500, 300, 100], 400, 9) == [900, 700, 500]
    assert learning_times([300, 100], 400, 2) == []


def test_directions_of_the_nearest_time():
    direction = Direction(torch.tensor([1.0, 2.0])[:, None, None, None], [900, 500], [])
    assert at_all_times(direction, [900, 800, 600, 100]).flatten().tolist() == [1, 1, 2, 2]
    shared = Direction(torch.ones(1, 2, 1, 1), [900, 500], [])
    assert at_all_times(shared, [900, 100]).shape == (2, 2, 1, 1)


def test_directions_are_kept_and_depend_on_the_run_s_seeds_alone(category, model, encoder, inversions, directions):
    read = read_directions(category.folder / "direction.safetensors")
    assert {run: list(of_run) for run, of_run in read.items()} == {0: ["rust", "a web"], 1: ["oil", "rust"]}
    assert torch.equal(read[1]["oil"].delta_h, directions[1]["oil"].delta_h) and len(read[1]["oil"].losses) == 6

    others = {name for name in inversions.image_ids if name not in read_support(category.support)[0].seeds}
    inversions.noise[inversions.rows(sorted(others))] = torch.nan
    alone = {0: read_support(category.support)[0]}
    again = learn_directions(
        EDIT, alone, model, encoder, inversions, "", lambda run, text: torch_generator(0, run, text)
    )
    assert torch.equal(again[0]["rust"].delta_h, directions[0]["rust"].delta_h)


@pytest.mark.parametrize("source", [MIX, EDIT, {**EDIT, "strengths": [1.0], "count": 3}])
def test_anomalies_come_from_the_seeds_of_their_run(category, model, inversions, file, directions, source, tmp_path):
    support, files = read_support(category.support), []
    for copy in range(2):
        runs, normals, strengths = make(category, model, source, file)
        files.append((tmp_path / f"{copy}.h5", tmp_path / f"{copy}.csv"))
        write_anomalies(*files[-1], "mine", runs, normals, strengths)
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]

    manifest = read_manifest(files[0][1])
    assert manifest["run"].tolist() == [0] * source["count"] + [1] * source["count"]
    for run, rows in manifest.groupby("run"):
        if source["method"] == "style_mix":
            assert set(rows["parent_a"]) <= set(support[run].styles)
            assert set(rows["parent_b"]) <= set(support[run].contents)
            assert not rows.duplicated(["parent_a", "parent_b"]).any() and set(rows["strength"]) == {0.7}
        else:
            assert set(rows["parent_a"]) <= set(support[run].seeds) and set(rows["parent_b"]) == {""}
            texts = [json.loads(text)["text"] for text in rows["parameters"]]
            assert set(texts) <= set(directions[run]) and set(rows["strength"]) == set(source["strengths"])
    assert normals.image_ids == control_image_ids(support)
    assert np.array_equal(normals.images, resize_all(inversions.regenerated_of(normals.image_ids), 32))
    shown = 5 if source["method"] == "style_mix" else 1 + len(source["strengths"])
    assert strengths.images.shape == (2, shown, 32, 32, 3)
    assert (strengths.strength[0], strengths.strength[-1]) == (0, 1)
    first = runs[0][0].parent_a
    assert difference(strengths.images[0, 0], resize_all(inversions.regenerated_of([first]), 32)[0]) <= 2


def test_mistakes(category, model, file, directions):
    with pytest.raises(UserError, match="expected at least 10 pairs, found 3 styles x 3 contents = 9"):
        make(category, model, {**MIX, "count": 10}, file)
    with pytest.raises(UserError, match="expected 7 steps, found 6"):
        make(category, model, {**MIX, "steps": 7}, file)
