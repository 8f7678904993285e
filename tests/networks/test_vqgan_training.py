"""Training and measuring the small VQGAN, with tiny settings."""

import importlib.util
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.networks.training import TrainingCrops, jitter, random_crop, settings_from
from variad.networks.vqgan import VQGAN, load_vqgan
from variad.networks.vqgan_quality import elpv_cells, measure, reconstruct, write_quality
from variad.networks.vqgan_training import (
    SMALL,
    MovingCodebook,
    VqganTrainer,
    VqganTraining,
    reconstruction_loss,
    structural_similarity,
    train_vqgan,
)

TINY = replace(SMALL, n_embed=16, embed_dim=4, z_channels=4, ch_mult=(1, 1))
BASE = ("here", "train_vqgan", SMALL, VqganTraining())
FAST = VqganTraining(steps=6, batch=2, crop=16, unquantised=2, warm_up=2, drawn=3, drawn_side=32, every=2)


@pytest.fixture(scope="module", autouse=True)
def _few_pictures() -> Iterator[None]:
    """Reading all of them takes seconds, and nothing here depends on their number."""
    patch = pytest.MonkeyPatch()
    patch.setattr("variad.datasets.open_images.textiles", lambda held_out: [np.full((20, 20, 3), 90, np.uint8)])
    patch.setattr("variad.datasets.open_images.PHOTOGRAPHS", {"camera.png": "", "chelsea.png": ""})
    yield
    patch.undo()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    train_vqgan(path, TINY, FAST)
    return path


def test_training_gives_equal_bytes_and_leaves_nothing_else(trained: Path, tmp_path: Path) -> None:
    train_vqgan(tmp_path / "again.safetensors", TINY, FAST)
    train_vqgan(tmp_path / "other.safetensors", TINY, replace(FAST, seed=1))
    assert sha256(tmp_path / "again.safetensors") == sha256(trained)
    assert sha256(tmp_path / "other.safetensors") != sha256(trained)
    assert [path.name for path in trained.parent.iterdir()] == ["model.safetensors"]
    assert load_vqgan(trained).config == TINY


def test_a_killed_training_goes_on_as_if_nothing_had_happened(trained: Path, tmp_path: Path) -> None:
    real, done = VqganTrainer.step, []

    def killed_at_5(self: VqganTrainer, images: torch.Tensor) -> dict[str, float]:
        if self.next_step == 5:
            raise KeyboardInterrupt
        done.append(self.next_step)
        return real(self, images)

    path = tmp_path / "model.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VqganTrainer, "step", killed_at_5)
        with pytest.raises(KeyboardInterrupt):
            train_vqgan(path, TINY, FAST)
    assert not path.exists() and load_vqgan(tmp_path / "model.snapshot.safetensors").config == TINY
    with pytest.raises(UserError, match="expected a training with the same settings"):
        train_vqgan(path, TINY, replace(FAST, seed=1))
    train_vqgan(path, TINY, FAST)
    assert done == [0, 1, 2, 3, 4]
    assert sha256(path) == sha256(trained)


def test_the_codebook_starts_after_the_unquantised_steps_and_moves_without_gradients() -> None:
    trainer, crops = VqganTrainer(TINY, FAST), TrainingCrops(FAST, 16)
    first = trainer.model.codebook.clone()
    trainer.step(crops.batch(2, 0))
    assert torch.equal(trainer.model.codebook, first)
    trainer.start_codebook([crops.batch(2, step) for step in range(4)])
    started = trainer.model.codebook.clone()
    assert not torch.equal(started, first)
    trainer.next_step = 3
    trainer.step(crops.batch(2, 3))
    assert not torch.equal(trainer.model.codebook, started)
    assert trainer.model.codebook.grad is None and not trainer.model.codebook.requires_grad


@pytest.mark.usefixtures("has_bfloat16")
def test_training_lowers_the_loss() -> None:
    trainer, crops = VqganTrainer(TINY, replace(FAST, steps=60, unquantised=30)), TrainingCrops(FAST, 16)
    batch = crops.batch(4, 0)
    losses = []
    for step in range(60):
        if step == 30:
            trainer.start_codebook([batch])
        losses.append(trainer.step(batch)["loss"])
    assert losses[29] < 0.6 * losses[0]
    assert losses[-1] < 0.6 * losses[0]


def test_settings_from_a_config() -> None:
    network, training = settings_from({"steps": 10, "network": {"n_embed": 32}}, *BASE)
    assert network == replace(SMALL, n_embed=32) and training == VqganTraining(steps=10)
    assert settings_from({}, *BASE) == (SMALL, VqganTraining())
    with pytest.raises(UserError, match=r"^here: expected settings of train_vqgan, found: .*'step'"):
        settings_from({"step": 10}, *BASE)


def test_k_means_finds_separate_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    latents = (centres[:, None] + 0.1 * torch.randn(3, 50, 2, generator=generator)).flatten(0, 1)
    codebook = MovingCodebook(torch.zeros(12, 2), decay=0.9)
    codebook.start(latents, generator)
    assert torch.cdist(centres, codebook.codes).min(1).values.max() < 0.1


def test_moving_average_of_codes_by_hand() -> None:
    codebook = MovingCodebook(torch.tensor([[0.0], [10.0]]), decay=0.75)
    codebook.update(torch.tensor([[1.0], [3.0], [9.0]]))
    # counts: .75 + .25 * 2 and .75 + .25; sums: .25 * (1 + 3) and .75 * 10 + .25 * 9
    assert codebook.codes.flatten().tolist() == pytest.approx([1 / 1.25, 9.75])


def test_a_dead_code_restarts_on_a_latent() -> None:
    codebook = MovingCodebook(torch.tensor([[0.0], [100.0]]), decay=0.0)
    latents = torch.tensor([[1.0], [3.0]])
    codebook.update(latents)
    assert codebook.codes[1].item() == 100
    dead = codebook.restart(latents, torch.Generator().manual_seed(0), least=0.5)
    assert dead.tolist() == [1] and codebook.codes[1].item() in (1.0, 3.0)
    assert codebook.counts[1] > 0.5


def test_reconstruction_loss_by_hand() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    assert reconstruction_loss(image, image).item() == pytest.approx(0, abs=1e-6)
    flat = torch.zeros(1, 1, 16, 16)
    # Flat images: no gradients, SSIM is its first factor alone.
    light = 4e-4 / (0.25 + 4e-4)
    assert reconstruction_loss(flat + 0.5, flat).item() == pytest.approx(2 * 0.5 + 0.2 * (1 - light), abs=1e-5)


def test_structural_similarity_equals_scikit_images() -> None:
    from skimage.metrics import structural_similarity as reference

    generator = np.random.default_rng(0)
    first = generator.uniform(-1, 1, (7, 7))
    second = (first + generator.normal(0, 0.3, (7, 7))).clip(-1, 1)
    wanted = reference(first, second, win_size=7, data_range=2, use_sample_covariance=False)
    found = structural_similarity(*(torch.from_numpy(image)[None, None] for image in (first, second)))
    assert found.item() == pytest.approx(wanted, abs=1e-6)


def test_batches_depend_on_seed_and_step_alone() -> None:
    crops = TrainingCrops(replace(FAST, grey=0.65), 16)
    batch = crops.batch(4, 7)
    crops.batch(4, 8)
    assert batch.shape == (4, 3, 16, 16) and batch.abs().max() <= 1
    assert torch.equal(crops.batch(4, 7), batch)
    assert not torch.equal(crops.batch(4, 8), batch)


def test_grey_crops_have_equal_channels() -> None:
    coloured = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    grey, colour = (jitter(coloured, share, np.random.default_rng(0)) for share in (1.0, 0.0))
    assert torch.equal(grey[0], grey[2]) and not torch.equal(colour[0], colour[2])


def test_crops_of_a_flat_picture_are_flat_and_small_pictures_are_enlarged() -> None:
    picture = torch.full((3, 9, 30), 51, dtype=torch.uint8)
    crop = random_crop([picture], 16, np.random.default_rng(0))
    torch.testing.assert_close(crop, torch.full((3, 16, 16), 0.2))


class _Rounding(VQGAN):
    """Keeps an image but for a step of brightness, and uses two codes."""

    def __init__(self) -> None:
        super().__init__(TINY)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def quantise(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return latent + 10 / 127.5, torch.arange(4).view(1, 2, 2) // 3

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return latent


def test_quality_by_hand() -> None:
    picture = np.full((17, 16, 3), 100, np.uint8)
    found, codes = reconstruct(_Rounding(), picture)
    assert np.unique(found).tolist() == [110] and codes.tolist() == [0, 0, 0, 1]
    quality = measure(_Rounding(), [picture, picture])
    assert quality.images == 2 and quality.psnr == pytest.approx(10 * math.log10(255**2 / 100))
    assert (quality.codes, quality.codes_share) == (2, 2 / 16)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert quality.perplexity == pytest.approx(math.exp(entropy))


def test_colour_that_is_kept_by_hand() -> None:
    coloured = np.zeros((12, 12, 3), np.uint8) + np.array([40, 100, 160], np.uint8)
    assert measure(_Rounding(), [np.full((12, 12, 3), 90, np.uint8)]).colour is None
    assert measure(_Rounding(), [coloured]).colour == pytest.approx(1)  # equally brighter in all channels
    fading = _Rounding()
    fading.decode = lambda latent: (latent + latent.mean(1, keepdim=True)) / 2  # type: ignore[method-assign]
    assert measure(fading, [coloured]).colour == pytest.approx(0.5, abs=0.01)


def test_elpv_cells_are_the_first_normal_ones() -> None:
    data = Path(importlib.util.find_spec("elpv_dataset").origin).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text("utf-8").splitlines()]
    first, second = [name for name, probability, kind in rows if (probability, kind) == ("0.0", "poly")][:2]
    cells = elpv_cells("poly", 2, size=300)
    assert len(cells) == 2
    for cell, name in zip(cells, (first, second), strict=True):
        with Image.open(data / name) as image:
            assert np.array_equal(cell, np.asarray(image.convert("RGB")))
    assert elpv_cells("mono", 1)[0].shape == (224, 224, 3)


def test_quality_file_names_the_weights_it_measured(trained: Path, tmp_path: Path) -> None:
    write_quality(tmp_path / "quality.json", trained, cells=1, textiles=1)
    report = json.loads((tmp_path / "quality.json").read_text("utf-8"))
    assert report["sha256"] == sha256(trained) and report["config"]["n_embed"] == 16
    assert report["quality"]["held_out_photographs"]["images"] == 2
    assert report["quality"]["elpv"]["images"] == 2
    assert 5 < report["quality"]["elpv_mono"]["psnr"] < 40


def test_the_first_layer_heeds_colour_and_answers_brightness_as_before() -> None:
    trainers = (VqganTrainer(TINY, replace(FAST, colour_gain=gain)) for gain in (1.0, 16.0))
    plain, heeding = (trainer.model.encoder.conv_in.double() for trainer in trainers)
    grey = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double().expand(-1, 3, -1, -1)
    tint = torch.tensor([0.5, -0.2, -0.3]).double().view(1, 3, 1, 1).expand(-1, -1, 8, 8)
    close = {"rtol": 0, "atol": 1e-5}  # the weights were changed in float32
    torch.testing.assert_close(heeding(grey), plain(grey), **close)
    torch.testing.assert_close(heeding(grey + tint) - heeding(grey), 16 * (plain(grey + tint) - plain(grey)), **close)


def test_noise_grows_from_nothing_while_there_is_no_codebook() -> None:
    trainer, latent = (
        VqganTrainer(TINY, replace(FAST, noise=0.5, unquantised=10, power=0.0)),
        torch.zeros(1, 4, 200, 200),
    )
    found = []
    for trainer.next_step in (0, 5, 10):
        found.append(float(trainer._noisy(latent)[0].std()))
    assert found == pytest.approx([0, 0.25, 0.5], rel=0.01)


def test_the_loss_hears_colour_three_times_as_loud_as_brightness() -> None:
    wanted = torch.full((1, 3, 32, 32), 0.1)
    tint = torch.tensor([0.02, -0.01, -0.01]).view(1, 3, 1, 1)
    brighter = reconstruction_loss(wanted + 0.02, wanted) - 0.2 * (1 - structural_similarity(wanted + 0.02, wanted))
    tinted = reconstruction_loss(wanted + tint, wanted) - 0.2 * (1 - structural_similarity(wanted + tint, wanted))
    assert float(brighter) == pytest.approx(2 * 0.02, rel=1e-3)
    assert float(tinted) == pytest.approx(6 * 0.04 / 3, rel=1e-3)
