"""Sizes of batches, memory that runs out, and batches that survive a killed job."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.core.job import job
from variad.generation import engine
from variad.generation import guidance as latent
from variad.generation.added import Chunks, digest_of
from variad.generation.engine import (
    batch_size,
    bytes_at_peak,
    bytes_per_image,
    evenly,
    free_bytes,
    generate,
    shrinking,
)

from .conftest import requests_of

WANTED = requests_of(11, 12, 13, 14, 15)


def test_batch_size_is_the_cap_or_what_memory_allows():
    assert batch_size(None, 0, None, "cpu") == 4
    assert batch_size(None, 10, 10_000, "cuda") == 64
    assert batch_size(7, 10, None, "cpu") == 7
    assert batch_size(7, 10, 50, "cpu") == 4  # 0.8 of 50 bytes
    assert batch_size(7, 10, 5, "cpu") == 1


def test_a_cpu_has_what_was_granted_less_what_is_in_use():
    assert free_bytes("cpu") is None
    assert free_bytes("cpu", 1) == 0
    assert 0 < free_bytes("cpu", 10**12) < 10**12


def test_what_torch_keeps_of_a_gpus_memory_counts_as_free(monkeypatch):
    """Of 100 bytes 30 are torch's, 10 of them in use, and 5 another program's."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (65, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10)
    assert free_bytes("cuda", 1) == 85


def test_a_gpus_peak_is_measured_without_what_is_loaded_once(monkeypatch):
    """A thousand bytes of weights stay, the first time 500 more are used, and each image takes 70."""
    state = {"peak": 0, "calls": []}

    def work(images):
        extra = 0 if state["calls"] else 500
        state["calls"].append(images)
        state["peak"] = max(state["peak"], 1000 + extra + 70 * images)

    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 1000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: state.update(peak=1000))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: state["peak"])
    assert bytes_at_peak(work) == 70
    assert state["calls"] == [2, 4, 2]


def test_batches_are_as_few_and_as_equal_as_can_be():
    assert [evenly(count, 64) for count in (1, 64, 65, 100, 129)] == [1, 64, 33, 50, 43]
    for count in range(1, 40):
        for size in range(1, 12):
            even = evenly(count, size)
            assert even <= size and -(-count // even) == -(-count // size)


def test_bytes_per_image_are_counted_without_the_weights():
    weights = torch.ones(1000, 1000)

    def forward(count):
        latent = torch.ones(count, 1000, requires_grad=True)
        return ((latent @ weights).exp() * 2).sum()

    # of each image exp keeps its result, 1,000 floats; the product keeps the weights, four megabytes, once
    assert bytes_per_image(forward) == 4000


def test_counting_bytes_keeps_none_of_them():
    """What a layer keeps of its own result must not keep that layer."""
    made = []

    def forward(count):
        latent = torch.ones(count, 10, requires_grad=True)
        result = latent.exp()  # keeps its result
        made.extend(map(weakref.ref, (latent, result)))
        return result.sigmoid().sum()

    assert bytes_per_image(forward) == 80
    gc.collect()
    assert [tensor() for tensor in made] == [None] * 4


def tensors_alive():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_images_leave_no_tensors_behind(parents, vqgan, by, settings):
    guided = settings(guidance=1.0, iterations=1)
    generate(parents[:1], WANTED[:1], guided, vqgan, by, memory=10**12)
    before = tensors_alive()
    generate(parents[:1], WANTED[:1], guided, vqgan, by, memory=10**12)
    assert tensors_alive() == before


def test_out_of_memory_halves_the_batch_until_it_fits():
    asked = []

    def work(size):
        asked.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert shrinking(work, 13) == ("done", 3)
    assert asked == [13, 6, 3]


def ask_numpy(size):
    return np.empty(size * 2**50)


def ask_torch(size):
    return torch.empty(size * 2**50)


@pytest.mark.parametrize("work", [ask_numpy, ask_torch])
def test_memory_for_less_than_one_image_is_said_in_a_sentence(work):
    """By allocators that really refuse: petabytes."""
    with pytest.raises(UserError, match="expected memory for one image at a time, found too little"):
        shrinking(work, 2)


def test_other_errors_are_not_mistaken_for_memory():
    def work(size):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        shrinking(work, 2)


def test_a_batch_that_does_not_fit_is_made_in_smaller_ones(parents, vqgan, settings, monkeypatch):
    whole = generate(parents, WANTED, settings(noise_scale=0.5), vqgan)
    run, sizes = engine._Batch.run, []

    def sparing(self, by, watched):
        if len(self.images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(self.images))
        return run(self, by, watched)

    monkeypatch.setattr(engine._Batch, "run", sparing)
    pieces = generate(parents, WANTED, settings(noise_scale=0.5), vqgan)
    assert sizes == [2, 2, 1]
    np.testing.assert_allclose(pieces.images.astype(int), whole.images, atol=1)


def test_a_killed_job_loses_one_batch(parents, vqgan, by, settings, tmp_path, monkeypatch):
    guided = settings(guidance=1.0, iterations=3, batch_size=2)
    whole = generate(parents, WANTED, guided, vqgan, by)
    chunks = Chunks(tmp_path / "added.h5", "abc")
    run, made = engine._Batch.run, []

    def counted(self, guide, watched):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(self.images))
        return run(self, guide, watched)

    monkeypatch.setattr(engine._Batch, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        generate(parents, WANTED, guided, vqgan, by, chunks=chunks)
    made.clear()
    resumed = generate(parents, WANTED, guided, vqgan, by, chunks=Chunks(tmp_path / "added.h5", "abc"))
    assert made == [1]
    np.testing.assert_array_equal(resumed.images, whole.images)
    np.testing.assert_array_equal(resumed.steps, whole.steps)
    np.testing.assert_array_equal(resumed.trace["loss"], whole.trace["loss"])
    np.testing.assert_array_equal(resumed.steps_iteration, whole.steps_iteration)


def test_a_damaged_batch_is_made_again(tmp_path):
    chunks = Chunks(tmp_path / "added.h5", "abc")
    for start in (0, 2, 4):
        chunks.keep(start, {"images": np.full((2, 8, 8, 3), start, np.uint8)})
    assert [batch["images"][0, 0, 0, 0] for batch in chunks.kept()] == [0, 2, 4]
    second = chunks.folder / "2.h5"
    content = bytearray(second.read_bytes())
    content[-1] ^= 1  # a pixel
    second.write_bytes(content)
    assert [batch["images"][0, 0, 0, 0] for batch in chunks.kept()] == [0]
    chunks.clear()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["lost", "memory"])
def test_a_gpu_that_fails_in_mid_run_costs_one_batch(kind, parents, vqgan, by, settings, tmp_path, monkeypatch, capsys):
    guided = settings(guidance=1.0, iterations=3, batch_size=2)
    whole = generate(parents, WANTED, guided, vqgan, by)
    run, made = engine._Batch.run, []
    error = {
        "lost": torch.AcceleratorError(
            "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"
        ),
        "memory": torch.AcceleratorError("CUDA error: out of memory"),
    }[kind]

    def failing(self, guide, watched):
        if len(made) == 1:
            made.append(0)
            raise error
        made.append(len(self.images))
        return run(self, guide, watched)

    def once():
        with job(SimpleNamespace(threads=1, log=[str(tmp_path / "rule.log")], resources={"gpu": 0})):
            return generate(parents, WANTED, guided, vqgan, by, chunks=Chunks(tmp_path / "added.h5", "abc"))

    monkeypatch.setattr(engine._Batch, "run", failing)
    with pytest.raises(SystemExit) as stopped:
        once()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and sum(line.startswith("error: GPU") for line in said.splitlines()) == 1
    resumed = once()
    assert made == [2, 0, 2, 1]  # the first batch is not made again
    np.testing.assert_array_equal(resumed.images, whole.images)
    np.testing.assert_array_equal(resumed.trace["loss"], whole.trace["loss"])


def test_batches_of_other_settings_are_left_alone_and_then_cleared(tmp_path):
    batch = {"images": np.zeros((2, 1, 1, 3), np.uint8)}
    one, other = Chunks(tmp_path / "added.h5", "one"), Chunks(tmp_path / "added.h5", "other")
    one.keep(0, batch)
    one.keep(4, batch)  # its predecessor is missing
    assert len(list(one.kept())) == 1
    assert list(other.kept()) == []
    (tmp_path / "added.h5").touch()
    other.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["added.h5"]


def test_a_digest_tells_parts_apart():
    assert digest_of([b"ab", b"c"]) != digest_of([b"a", b"bc"])
    assert digest_of([b"ab", b"c"]) == digest_of(iter([b"ab", b"c"]))


def test_the_spread_of_an_image_is_computed_once(parents, vqgan, settings, monkeypatch):
    calls = []
    monkeypatch.setitem(latent.FORMS, "codebook", lambda model, views: calls.append(len(views)) or torch.ones(4, 1, 1))
    repeated = parents[[0, 0, 1, 0, 1]]
    generate(repeated, WANTED, settings(), vqgan)
    assert calls == [4, 4]
