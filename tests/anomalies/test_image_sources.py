"""Anomalies without a diffusion model: what changes, where, by how much, and where it may come from."""

import json

import numpy as np
import pytest
from PIL import Image

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, write_anomalies
from variad.anomalies.image_sources import (
    METHODS,
    blur,
    cut_paste,
    donors,
    draw_sides,
    jitter_patch,
    make_from_images,
    read_donor,
    scar,
    unrelated,
)
from variad.core.errors import UserError
from variad.core.records import read_images
from variad.core.seeding import numpy_generator
from variad.datasets.packaged import CELLS
from variad.datasets.sampling import read_support
from variad.datasets.textures import CATEGORIES


def noise(side, seed=0, grey=False):
    image = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return image[..., :1].repeat(3, 2) if grey else image


def make(category, method, count=9, **more):
    support = read_support(category.support)
    return make_from_images(method, support, category.images, count, lambda run: numpy_generator(0, run), **more)


@pytest.mark.parametrize("seed", range(20))
def test_cut_paste_changes_exactly_the_pasted_rectangle(seed):
    image = noise(64, seed)
    anomaly = cut_paste(image, "a", np.random.default_rng(seed))
    (top, left), height, width = (anomaly.parameters[key] for key in ("paste", "height", "width"))
    inside = np.zeros((64, 64), bool)
    inside[top : top + height, left : left + width] = True
    assert np.array_equal(anomaly.image[~inside], image[~inside])
    assert (anomaly.image[inside] != image[inside]).any(axis=1).mean() > 0.9  # noise over noise
    row, column = anomaly.parameters["cut"]
    patch = image[row : row + height, column : column + width].astype(int)
    pasted = anomaly.image[inside].reshape(height, width, 3)
    assert np.corrcoef(patch.ravel(), pasted.ravel())[0, 1] > 0.75  # hues turn by up to a tenth of the circle


def test_rectangles_follow_the_paper():
    generator = np.random.default_rng(0)
    sides = np.array([draw_sides(1000, generator) for _ in range(4000)])
    area, aspect = sides.prod(1) / 1000**2, sides[:, 1] / sides[:, 0]
    assert area.min() > 0.0198 and area.max() < 0.1503 and area.mean() == pytest.approx(0.085, abs=0.002)
    assert aspect.min() > 0.298 and aspect.max() < 3.32
    assert (aspect < 1).mean() == pytest.approx(0.5, abs=0.03)
    assert aspect[aspect < 1].mean() == pytest.approx(0.65, abs=0.01)
    assert aspect[aspect > 1].mean() == pytest.approx(2.15, abs=0.05)


def test_jitter_is_small_and_keeps_grey():
    generator = np.random.default_rng(0)
    flat = np.full((4, 4, 3), 128, np.uint8)
    values = [int(jitter_patch(flat, generator)[0, 0, 0]) for _ in range(200)]
    assert 112 <= min(values) < 118 and 138 < max(values) <= 144  # only brightness moves a flat grey
    patch = jitter_patch(noise(16, grey=True), generator)
    assert (patch == patch[..., :1]).all()


@pytest.mark.parametrize("seed", range(20))
def test_scar_is_a_thin_turned_strip(seed):
    image = noise(256, seed)
    drawn = scar(image, "a", np.random.default_rng(seed))
    changed = (drawn.image != image).any(axis=2)
    size, (top, left) = drawn.parameters, drawn.parameters["paste"]
    assert 2 <= size["width"] <= 16 and 10 <= size["length"] <= 25 and abs(size["angle"]) <= 45
    assert size["area"] == pytest.approx(size["width"] * size["length"], rel=0.25)
    assert 0.85 * size["area"] <= changed.sum() <= size["area"]
    rows, columns = np.nonzero(changed)
    reach = np.hypot(size["width"], size["length"]) + 2
    assert top <= rows.min() and rows.max() < top + reach and left <= columns.min() and columns.max() < left + reach


def test_scars_scale_with_the_image():
    sizes = [scar(noise(64, seed), "a", np.random.default_rng(seed)).parameters for seed in range(60)]
    assert max(size["length"] for size in sizes) <= 6 and max(size["width"] for size in sizes) <= 4


def test_blur_keeps_what_is_coarse_and_removes_what_is_fine():
    rows = np.arange(64)
    coarse, fine = (128 + 100 * np.sin(2 * np.pi * rows / period) for period in (32, 3))
    for wave, kept in ((coarse, True), (fine, False)):
        image = np.repeat(np.repeat(wave.astype(np.uint8)[:, None, None], 64, 1), 3, 2)
        left = blur(image, 16)[8:-8].std() / image[8:-8].std()
        assert left > 0.9 if kept else left < 0.05
    flat = np.full((64, 64, 3), 77, np.uint8)
    assert np.array_equal(blur(flat, 8), flat)
    with pytest.raises(UserError, match=r"expected less than image_size = 64 to blur, found 64"):
        blur(flat, 64)


def test_blurred_takes_each_seed_once(category):
    made = make(category, "blurred", 6, resolution=8)
    for run, sets in read_support(category.support).items():
        assert sorted(anomaly.parent_a for anomaly in made[run]) == sorted(sets.seeds)
        first = made[run][0]
        assert np.array_equal(first.image, blur(read_images(category.images, [first.parent_a])[0], 8))
    with pytest.raises(UserError, match=r"run 0: expected at least 7 seeds for blurred, found 6"):
        make(category, "blurred", 7, resolution=8)


def test_unrelated_draws_uniformly_and_without_replacement(tmp_path):
    for number in range(12):
        folder = tmp_path / "train" / f"n{number % 3}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(8, number)).save(folder / f"{number}.JPEG")
    (tmp_path / "val").mkdir()
    Image.fromarray(noise(8)).save(tmp_path / "val" / "v.JPEG")
    assert len(donors(str(tmp_path))) == 13
    (tmp_path / "wnids.txt").touch()
    pool = donors(str(tmp_path))
    assert len(pool) == 12 and all(donor.name.startswith("train/") for donor in pool)

    drawn = [[anomaly.parent_b for anomaly in unrelated(pool, 4, 16, np.random.default_rng(s))] for s in range(600)]
    assert all(len(set(names)) == 4 for names in drawn)
    counts = np.unique(np.array(drawn), return_counts=True)[1]
    assert len(counts) == 12 and ((counts - 200) ** 2 / 200).sum() < 31.3  # chi squared, 11 degrees, p = .001
    with pytest.raises(UserError, match="expected at most 12 unrelated images, found 13"):
        unrelated(pool, 13, 16, np.random.default_rng(0))
    with pytest.raises(UserError, match="expected 'photographs' or a folder with images, found 'nowhere'"):
        donors("nowhere")


def test_bundled_photographs_are_no_evaluated_category_and_do_not_overlap():
    pool = donors("photographs")
    assert len({donor.name for donor in pool}) == len(pool) >= 100
    assert {donor.path.split(".")[0] for donor in pool}.isdisjoint({*CATEGORIES, *CELLS})
    for donor in pool:
        assert donor.box[2] >= 96 and read_donor(donor).shape == (donor.box[2], donor.box[2], 3)
    coffee = [donor.box for donor in pool if donor.path == "coffee.png"]
    assert len(coffee) == 12 and len({box[:2] for box in coffee}) == 12 and {box[2] for box in coffee} == {133}


@pytest.mark.parametrize("method", METHODS)
def test_parents_are_seeds_of_the_run_and_equal_seeds_give_equal_bytes(category, method, tmp_path):
    support = read_support(category.support)
    count = 6 if method == "blurred" else 9
    files = []
    for copy in range(2):
        made = make(category, method, count, resolution=8)
        files.append((tmp_path / f"{copy}.h5", tmp_path / f"{copy}.csv"))
        write_anomalies(*files[-1], "mine", made)
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert files[0][1].read_bytes() == files[1][1].read_bytes()

    manifest = read_manifest(files[0][1])
    assert len(manifest) == 2 * count and list(manifest["position"]) == list(range(2 * count))
    assert manifest["anomaly_id"].iloc[count] == "mine/1/000" and set(manifest["strength"]) == {1.0}
    for run, rows in manifest.groupby("run"):
        parents = set(rows["parent_a"])
        assert parents == ({""} if method == "unrelated" else set(support[run].seeds))
        assert rows["parent_a"].value_counts().max() - rows["parent_a"].value_counts().min() <= 1
    images = read_anomalies(files[0][0], manifest)
    assert images.shape == (2 * count, 32, 32, 3)
    assert all(isinstance(json.loads(text), dict) for text in manifest["parameters"])
    if method not in ("unrelated", "blurred"):
        originals = read_images(category.images, list(manifest["parent_a"]))
        assert 0 < (images != originals).any(axis=3).mean() < 0.2


def test_a_run_without_seeds(category):
    text = category.support.read_text().replace(",seeds", ",bank")
    category.support.write_text(text)
    with pytest.raises(UserError, match="run 0: expected at least 1 seeds for scar, found 0"):
        make(category, "scar")
