"""The generator's invariants."""

import dataclasses

import numpy as np
import pytest
import torch

from variad.generation.engine import generate
from variad.generation.guidance import Guide, decode
from variad.generation.steps import guide
from variad.networks.features import to_tensor, to_uint8

from .conftest import TinyEncoder, requests_of

WANTED = requests_of(11, 12, 13, 14, 15)


def test_without_noise_and_text_it_reconstructs(parents, vqgan, settings):
    generated = generate(parents, WANTED, settings(view="none", noise_scale=0.0), vqgan)
    with torch.no_grad():
        expected = decode(vqgan, vqgan.encode(to_tensor(parents) * 2 - 1))
    np.testing.assert_array_equal(generated.images, to_uint8(expected))
    assert np.isnan(generated.similarity).all()
    assert generated.trace == {}


def test_residual_form_without_noise_gives_the_view_back(parents, vqgan, settings):
    generated = generate(parents, WANTED, settings(view="none", noise_scale=0.0, output="residual"), vqgan)
    np.testing.assert_array_equal(generated.images, parents)
    np.testing.assert_array_equal(generated.distance, 0)


def test_form_mu_is_free_of_noise(parents, vqgan, settings):
    one = generate(parents, WANTED, settings(form="mu", view="none"), vqgan)
    other = generate(parents, requests_of(1, 2, 3, 4, 5), settings(form="mu", view="none"), vqgan)
    np.testing.assert_array_equal(one.images, other.images)


@pytest.mark.parametrize("sigma", ["codebook", "views"])
def test_more_noise_goes_farther_from_the_parent(parents, vqgan, settings, sigma):
    small, large = (
        generate(parents, WANTED, settings(noise_scale=scale, sigma=sigma, output="residual"), vqgan).distance.mean()
        for scale in (0.1, 1.0)
    )
    assert large > 2 * small > 0


def test_an_image_does_not_depend_on_its_batch(parents, double_vqgan, texts, settings, monkeypatch):
    monkeypatch.setattr("variad.generation.engine.to_tensor", lambda images: to_tensor(images).double())
    guided = settings(guidance=1.0, iterations=4)
    whole, single = (
        generate(
            parents, WANTED, dataclasses.replace(guided, batch_size=size), double_vqgan,
            Guide(TinyEncoder(torch.float64), texts.double()),
        )
        for size in (5, 1)
    )  # fmt: skip
    np.testing.assert_array_equal(whole.images, single.images)
    np.testing.assert_allclose(whole.trace["loss"], single.trace["loss"], rtol=1e-10)
    alone = generate(
        parents[3:4], WANTED[3:4], guided, double_vqgan, Guide(TinyEncoder(torch.float64), texts[3:4].double())
    )
    np.testing.assert_array_equal(alone.images, whole.images[3:4])


def test_guidance_raises_the_similarity(parents, vqgan, by, settings):
    guided = generate(parents, WANTED, settings(guidance=1.0, anchor=0.0, iterations=20), vqgan, by)
    similarity = guided.trace["similarity"]
    assert similarity.shape == (5, 21)
    assert (similarity[:, -1] > similarity[:, 0] + 0.02).all()


def test_zero_guidance_leaves_the_text_out(parents, vqgan, by, settings):
    plain = generate(parents, WANTED, settings(), vqgan)
    unguided = generate(parents, WANTED, settings(guidance=0.0, iterations=20), vqgan, by)
    np.testing.assert_array_equal(plain.images, unguided.images)


def test_a_strong_anchor_holds_the_latent(parents, vqgan, by, settings):
    start = generate(parents, WANTED, settings(), vqgan).images.astype(float)
    loose, tight = (
        generate(parents, WANTED, settings(guidance=1.0, anchor=anchor, iterations=20), vqgan, by)
        for anchor in (0.0, 1e4)
    )
    assert np.abs(tight.images - start).mean() < np.abs(loose.images - start).mean()


def test_steps_begin_with_the_start_and_end_with_the_result(parents, vqgan, by, settings):
    guided = generate(parents, WANTED, settings(guidance=1.0, iterations=8, batch_size=2), vqgan, by)
    assert guided.steps_iteration.tolist() == [0, 2, 4, 6, 8]
    assert guided.steps.shape == (5, 5, 32, 32, 3)
    np.testing.assert_array_equal(guided.steps[:, -1], guided.images)
    np.testing.assert_array_equal(guided.steps[:, 0], generate(parents, WANTED, settings(batch_size=2), vqgan).images)


@pytest.mark.usefixtures("has_bfloat16")
def test_the_last_look_is_in_float32_whatever_the_steps_are(encoder, texts, vqgan, settings):
    start = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    values = settings(iterations=3, guidance=1.0, anchor=0.1, precision="bfloat16")
    shown = {}
    by, draws = Guide(encoder, texts[:2]), [torch.Generator().manual_seed(place) for place in range(2)]
    guided = guide(start, by, vqgan, values, draws, watch=shown.__setitem__)
    with torch.no_grad():
        exact = decode(vqgan, guided.latent)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = decode(vqgan, guided.latent)
    assert torch.equal(guided.images, exact) and torch.equal(shown[3], exact)
    assert not torch.equal(rounded.float(), exact)
    assert all(images.dtype == torch.float32 for images in shown.values())


def test_acceptance_limits_reject(parents, vqgan, by, settings):
    everything = generate(parents, WANTED, settings(), vqgan)
    limit = float(np.median(everything.distance))
    some = generate(parents, WANTED, settings(max_distance=limit), vqgan)
    np.testing.assert_array_equal(some.accepted, everything.distance <= limit)
    assert 0 < some.accepted.sum() < 5
    none = generate(parents, WANTED, settings(guidance=1.0, iterations=1, min_similarity_gain=2.0), vqgan, by)
    assert not none.accepted.any()


def test_in_float32_batches_agree_until_a_code_flips(parents, vqgan, by, settings):
    """Sums in another order differ in the last bit; that shows only once it moves a latent to another code."""
    guided = settings(guidance=1.0, iterations=6)
    whole, single = (
        generate(parents, WANTED, dataclasses.replace(guided, batch_size=size), vqgan, by) for size in (5, 1)
    )
    agree = np.isclose(whole.trace["similarity"], single.trace["similarity"], rtol=0, atol=1e-5)
    assert agree[:, :2].all()
    for row, same in enumerate(agree):
        if same.all():
            assert np.abs(whole.images[row].astype(int) - single.images[row]).max() <= 1


def test_without_guidance_the_similarity_stays(parents, vqgan, by, settings):
    """Weight 0 for the text: whatever else is set, the images are as near to their texts as without any step."""

    def similarity(generated):
        embeddings = by.encoder.encode_image(to_tensor(generated.images))
        return (embeddings * by.texts).sum(dim=1).numpy()

    plain = generate(parents, WANTED, settings(iterations=0), vqgan)
    unguided = generate(parents, WANTED, settings(guidance=0.0, iterations=20, anchor=3.0, cutouts=7), vqgan, by)
    np.testing.assert_array_equal(similarity(unguided), similarity(plain))


@pytest.mark.parametrize("output", ["decoded", "residual"])
def test_grey_parents_have_grey_images(parents, vqgan, by, settings, output):
    """Whatever the batch mixes: grey stays grey, at every step, and coloured parents keep their colour."""
    parents = parents.copy()
    parents[[1, 3]] = parents[[1, 3], :, :, :1]
    made = generate(parents, WANTED, settings(guidance=1.0, iterations=3, output=output), vqgan, by)
    colourless = (made.images == made.images[..., :1]).all(axis=(1, 2, 3))
    assert colourless.tolist() == [False, True, False, True, False]
    if output == "decoded":
        assert (made.steps[1] == made.steps[1][..., :1]).all()
    alone = generate(
        parents[:1], WANTED[:1], settings(guidance=1.0, iterations=3, output=output), vqgan, by.rows(slice(1))
    )
    np.testing.assert_allclose(alone.images[0].astype(int), made.images[0], atol=1)
