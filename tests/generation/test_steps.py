"""Guided steps as a GPU takes them, on a CPU that passes for one, against the CPU's own."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.core.precision import Arithmetic
from variad.generation.engine import generate
from variad.generation.guidance import Guide, cutouts, cutouts_by_products, draw_windows
from variad.generation.steps import GuidedBatch, Steps, guide

from .conftest import TinyEncoder, requests_of

DEVICE = torch.device("cpu")


class CastEncoder(TinyEncoder):
    """Keeps note of what it was cast to."""

    def cast(self, dtype):
        other = CastEncoder(self.weight.dtype)
        other.weight = other.weight.to(dtype)
        return other

    def encode_image(self, images):
        assert not torch.is_autocast_enabled("cpu") and images.dtype == torch.float32
        small = functional.adaptive_avg_pool2d(images, 8).flatten(1) - 0.5
        return functional.normalize((small.to(self.weight) @ self.weight).float(), dim=1)


class Recorder:
    """Replays by doing the work again, after two warm-ups, as a graph's recording does."""

    def __init__(self, error=None):
        self.recorded, self.replayed, self.error = 0, 0, error

    def __call__(self, work, device):
        assert device == DEVICE
        self.recorded += 1
        work()
        if self.error:
            raise self.error
        work()

        def replay():
            self.replayed += 1
            return work()

        return replay


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + place) for place in range(count)]


def starts(count, seed=3):
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def guided(settings):
    return settings(guidance=1.0, iterations=5, anchor=0.5)


@pytest.mark.parametrize("height, width", [(24, 32), (33, 17)])
def test_crops_by_products_are_those_of_grid_sample_and_have_their_gradients(height, width):
    images = torch.rand(3, 3, height, width, dtype=torch.float64, requires_grad=True)
    windows = draw_windows(4, 2, generators(3))[1].double()
    weights = torch.rand(12, 3, 16, 16, dtype=torch.float64)
    found, wanted = (
        (crops, torch.autograd.grad((crops * weights).sum(), images)[0])
        for crops in (cut(images, windows, 16) for cut in (cutouts_by_products, cutouts))
    )
    torch.testing.assert_close(found, wanted)


def test_a_gpus_way_leads_to_the_cpus_images(vqgan, by, guided):
    wanted = guide(starts(5), by, vqgan, guided, generators(5))
    steps = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", gpu=True))
    found = guide(starts(5), by, vqgan, guided, generators(5), steps=steps)
    assert (wanted.latent - starts(5)).abs().max() > 0.1  # the steps did something
    torch.testing.assert_close(found.latent, wanted.latent, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.images, wanted.images, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.similarity, wanted.similarity, rtol=0, atol=1e-4)


def test_in_bfloat16_weights_are_cast_and_nothing_is_at_every_step(vqgan, texts, guided):
    steps = Steps(vqgan, CastEncoder(), guided, DEVICE, Arithmetic("bfloat16", gpu=True))
    assert steps.sight.encoder.weight.dtype == torch.bfloat16
    assert steps.last.encoder.weight.dtype == torch.float32  # what is kept is decoded exactly
    assert steps.sight.vqgan.decoder.dtype == torch.bfloat16 and steps.last.vqgan.decoder.dtype == torch.float32
    exact = guide(starts(5), Guide(CastEncoder(), texts), vqgan, guided, generators(5))
    found = guide(starts(5), Guide(CastEncoder(), texts), vqgan, guided, generators(5), steps=steps)
    assert found.images.dtype == torch.float32
    assert not torch.equal(found.latent, exact.latent)
    assert functional.cosine_similarity(found.latent - starts(5), exact.latent - starts(5)).mean() > 0.9


def test_an_encoder_that_cannot_be_cast_has_autocast_around_it(vqgan, by, guided):
    seen = []

    class Watching(TinyEncoder):
        def encode_image(self, images):
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().encode_image(images)

    steps = Steps(vqgan, Watching(), guided, DEVICE, Arithmetic("bfloat16", gpu=True))
    guide(starts(5), by, vqgan, guided, generators(5), steps=steps)
    assert seen == [True] * guided.iterations + [False]


@pytest.mark.parametrize("grey", [None, torch.tensor([True, False, True])])
def test_replayed_steps_are_those_that_are_taken_one_by_one(vqgan, by, guided, grey):
    """Over batches of equal and other sizes, whose recordings must not see what was there before."""
    record = Recorder()
    replaying = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, True), record)
    plain = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, False), record)
    for place, count in enumerate((3, 3, 2, 3)):
        seen = {}
        for name, steps in (("replayed", replaying), ("plain", plain)):
            frames = []
            own = grey[:count] if grey is not None else None
            found = guide(
                starts(count, place), by.rows(slice(count)), vqgan, guided, generators(count, place),
                lambda _, images, frames=frames: frames.append(images.clone()), own, steps,
            )  # fmt: skip
            seen[name] = (found.latent, found.images, found.loss, found.similarity, torch.stack(frames))
        for one, other in zip(*seen.values(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert record.recorded == 3  # the second batch used what the first had recorded
    assert record.replayed == 4 * guided.iterations


def test_what_a_batch_was_does_not_change_with_the_next(vqgan, by, guided):
    steps = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, True), Recorder())
    first = guide(starts(3), by.rows(slice(3)), vqgan, guided, generators(3), steps=steps)
    kept = [tensor.clone() for tensor in (first.latent, first.images, first.loss, first.similarity)]
    guide(starts(3, 7), by.rows(slice(3)), vqgan, guided, generators(3, 7), steps=steps)
    for tensor, copy in zip((first.latent, first.images, first.loss, first.similarity), kept, strict=True):
        torch.testing.assert_close(tensor, copy, rtol=0, atol=0)


def test_steps_that_cannot_be_recorded_are_taken_one_by_one_and_a_log_says_so(vqgan, by, guided, caplog):
    record = Recorder(RuntimeError("operation not permitted when stream is capturing\nmore"))
    steps = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, True), record)
    with caplog.at_level(logging.WARNING, logger="variad"):
        found = [guide(starts(5), by, vqgan, guided, generators(5), steps=steps).images for _ in range(2)]
    plain = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, False))
    wanted = guide(starts(5), by, vqgan, guided, generators(5), steps=plain).images
    assert all(torch.equal(images, wanted) for images in found)
    assert record.recorded == 1
    assert [entry.message for entry in caplog.records] == [
        "CUDA graph: a guided step cannot be recorded (operation not permitted when stream is capturing); "
        "taking the steps one by one"
    ]


def test_memory_that_runs_out_while_recording_is_not_hidden(vqgan, by, guided):
    record = Recorder(torch.OutOfMemoryError("CUDA out of memory"))
    steps = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", True, True), record)
    with pytest.raises(torch.OutOfMemoryError):
        steps.begin(GuidedBatch(starts(5), by.texts))
    record.error = None
    steps.begin(GuidedBatch(starts(2), by.texts[:2]))  # a smaller batch is recorded again
    assert record.recorded == 2 and len(steps.latent) == 2


def test_a_first_look_counts_a_gpus_backward_pass(vqgan, by, guided):
    windows = draw_windows(3, 1, generators(5))[0]
    on_cpu = Steps(vqgan, by.encoder, guided, DEVICE).first_look(GuidedBatch(starts(5), by.texts), windows)
    steps = Steps(vqgan, by.encoder, guided, DEVICE, Arithmetic("float32", gpu=True))
    step, gradient, last = steps.first_look(GuidedBatch(starts(5), by.texts), windows)
    assert on_cpu.loss.requires_grad and gradient[0].shape == (5, 4, 16, 16) and gradient[0].abs().max() > 0
    np.testing.assert_allclose(step.loss.detach(), last.loss, rtol=1e-5)
    assert not last.loss.requires_grad


def test_a_training_set_on_a_device_that_passes_for_a_gpu_is_the_cpus(parents, vqgan, by, guided, monkeypatch):
    """In batches as equal as can be, with steps that are recorded once, after twenty steps that amplify rounding."""
    wanted_of = requests_of(11, 12, 13, 14, 15)
    values = dataclasses.replace(guided, iterations=20, batch_size=4)
    whole = generate(parents, wanted_of, values, vqgan, by)
    record, sizes, begin = Recorder(), [], Steps.begin
    monkeypatch.setattr(Arithmetic, "of", lambda precision, device: Arithmetic(precision, True, True))
    monkeypatch.setattr(Steps.__init__, "__defaults__", (None, record))
    monkeypatch.setattr(Steps, "begin", lambda self, batch: sizes.append(len(batch.start)) or begin(self, batch))
    found = generate(parents, wanted_of, values, vqgan, by)
    assert sizes == [3, 2] and record.recorded == 2 and record.replayed == 2 * 20
    np.testing.assert_allclose(found.images.astype(int), whole.images, atol=1)
    np.testing.assert_array_equal(found.steps_iteration, whole.steps_iteration)
    np.testing.assert_allclose(found.steps.astype(int), whole.steps, atol=1)
    assert (found.steps[:, 0] != found.steps[:, -1]).any()
