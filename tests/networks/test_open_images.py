"""The openly licensed pictures: which they are, what is held out, and what is drawn."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from variad.core.errors import UserError
from variad.datasets import open_images
from variad.datasets.open_images import (
    PHOTOGRAPHS,
    dead_leaves,
    drawn,
    fractal_noise,
    line_lattice,
    photographs,
    textiles,
)
from variad.networks import training as training_module
from variad.networks import vqgan_training


def test_nothing_of_an_evaluated_category_is_among_them() -> None:
    banned = ("brick", "grass", "gravel", "elpv", "cell0")
    assert not [name for name in PHOTOGRAPHS if name.startswith(banned)]
    training = [Path(module.__file__).read_text("utf-8") for module in (open_images, training_module, vqgan_training)]
    imports = [line for text in training for line in text.splitlines() if "import" in line and "datasets" in line]
    assert len(imports) == 2 and all("open_images import" in line or "import open_images" in line for line in imports)


def test_every_photograph_has_a_licence_that_allows_it() -> None:
    allowed = ("CC0", "public domain", "no known copyright restrictions")
    assert len(PHOTOGRAPHS) == 13
    assert all(licence.startswith(allowed) for licence in PHOTOGRAPHS.values())


def test_held_out_fifth_and_the_rest_make_the_whole_photograph() -> None:
    import skimage.data

    place = list(PHOTOGRAPHS).index("coffee.png")
    whole = np.hstack([photographs(held_out)[place] for held_out in (False, True)])
    assert np.array_equal(whole, skimage.data.coffee())
    assert photographs(True)[place].shape == (400, 120, 3)


def test_textiles_are_split_nine_to_one() -> None:
    kept, held_out = textiles(False), textiles(True)
    assert (len(kept), len(held_out)) == (1800, 200)
    assert kept[0].shape == (250, 250, 3) and kept[0].dtype == np.uint8
    digests = [{picture.tobytes() for picture in group} for group in (kept, held_out)]
    assert not digests[0] & digests[1]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="expected the package conformal_clip_data to be installed"):
        textiles(True)


def test_drawn_pictures_depend_on_the_generator_alone() -> None:
    first, again, other = (drawn(3, 32, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert [picture.shape for picture in first] == [(32, 32, 3)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_lattices_are_grey_and_leaves_are_coloured() -> None:
    leaves, lattice, _ = drawn(3, 48, np.random.default_rng(0))
    assert np.array_equal(lattice[..., 0], lattice[..., 2])
    assert np.abs(leaves[..., 0].astype(int) - leaves[..., 2]).max() > 50


def test_lattice_lines_run_straight_through(monkeypatch: pytest.MonkeyPatch) -> None:
    family = [(16.0, 3.0, 0.5)]
    monkeypatch.setattr("variad.datasets.open_images._line_families", lambda side, generator: family)
    lattice = line_lattice(64, np.random.default_rng(3))[..., 0]
    profiles = lattice.mean(0), lattice.mean(1)
    profile = profiles[int(np.ptp(profiles[1]) > np.ptp(profiles[0]))]
    dark = np.flatnonzero(profile < np.median(profile) - 0.25)
    assert len(dark) in range(8, 17)  # four lines of two to four pixels
    assert set(np.diff(dark)) <= {1, 13, 14, 15}


def test_fractal_noise_has_the_spectrum_that_was_drawn() -> None:
    power = np.random.default_rng(11).uniform(0.9, 2.4)
    picture = fractal_noise(256, np.random.default_rng(11))[..., 0]
    amplitude = np.abs(np.fft.fft2(picture - picture.mean()))[0, 1:100]
    slope = np.polyfit(np.log(np.arange(1, 100)), np.log(amplitude), 1)[0]
    assert slope == pytest.approx(-power, abs=0.25)


def test_dead_leaves_cover_the_canvas_with_flat_regions() -> None:
    picture = dead_leaves(64, np.random.default_rng(2), leaves=1)
    colours = np.unique(picture[:, :8, 0].round(6))
    assert len(colours) <= 64 * 8 and np.isclose(picture[..., 0], picture[0, 0, 0]).mean() > 0.5
