"""Training and measuring the small diffusion model, with tiny settings."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.anomalies.diffusion.conftest import TINY
from variad.anomalies.ddpm_quality import measure, psnr, write_quality
from variad.core.errors import UserError
from variad.core.files import sha256
from variad.networks.ddpm_training import DdpmTrainer, DdpmTraining, spread_times, train_ddpm
from variad.networks.diffusion_models import (
    DiffusionModel,
    SmallUNetConfig,
    add_noise,
    linear_alphas_cumprod,
    load_diffusion,
)
from variad.networks.training import settings_from

BASE = ("here", "train_ddpm", SmallUNetConfig(), DdpmTraining())
FAST = DdpmTraining(steps=6, batch=2, warm_up=2, drawn=3, drawn_side=32, every=2)


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
    train_ddpm(path, TINY, FAST)
    return path


def test_training_gives_equal_bytes_and_leaves_nothing_else(trained: Path, tmp_path: Path) -> None:
    train_ddpm(tmp_path / "again.safetensors", TINY, FAST)
    train_ddpm(tmp_path / "other.safetensors", TINY, replace(FAST, seed=1))
    assert sha256(tmp_path / "again.safetensors") == sha256(trained)
    assert sha256(tmp_path / "other.safetensors") != sha256(trained)
    assert [path.name for path in trained.parent.iterdir()] == ["model.safetensors"]
    assert load_diffusion({"kind": "small", "weights": str(trained)}).skip_free_levels == 1


def test_a_killed_training_goes_on_as_if_nothing_had_happened(trained: Path, tmp_path: Path) -> None:
    real, done = DdpmTrainer.step, []

    def killed_at_5(self: DdpmTrainer, images: torch.Tensor) -> dict[str, float]:
        if self.next_step == 5:
            raise KeyboardInterrupt
        done.append(self.next_step)
        return real(self, images)

    path = tmp_path / "model.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DdpmTrainer, "step", killed_at_5)
        with pytest.raises(KeyboardInterrupt):
            train_ddpm(path, TINY, FAST)
    assert not path.exists() and (tmp_path / "model.snapshot.safetensors").is_file()
    with pytest.raises(UserError, match="expected a training with the same settings"):
        train_ddpm(path, TINY, replace(FAST, seed=1))
    train_ddpm(path, TINY, FAST)
    assert done == [0, 1, 2, 3, 4]
    assert sha256(path) == sha256(trained)


@pytest.mark.usefixtures("has_bfloat16")
def test_training_lowers_the_loss() -> None:
    trainer = DdpmTrainer(TINY, replace(FAST, steps=30, learning_rate=3e-3))
    images = torch.zeros(8, 3, 16, 16)
    losses = [trainer.step(images)["loss"] for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


def test_settings_from_a_config() -> None:
    network, training = settings_from({"steps": 10, "network": {"skip_free_levels": 0}}, *BASE)
    assert network == SmallUNetConfig(skip_free_levels=0) and training == DdpmTraining(steps=10)
    assert settings_from({}, *BASE) == (SmallUNetConfig(), DdpmTraining())
    with pytest.raises(UserError, match=r"^here: expected settings of train_ddpm, found: .*'step'"):
        settings_from({"step": 10}, *BASE)


def test_time_steps_are_evenly_spread() -> None:
    times = spread_times(10, 1000, torch.Generator().manual_seed(0))
    assert sorted(time // 100 for time in times.tolist()) == list(range(10))
    many = torch.cat([spread_times(4, 1000, torch.Generator().manual_seed(seed)) for seed in range(300)])
    assert many.min() >= 0 and many.max() <= 999
    assert abs(float(many.double().mean()) - 499.5) < 25


def test_the_schedule_and_the_noise_by_hand() -> None:
    kept = linear_alphas_cumprod()
    betas = np.linspace(1e-4, 0.02, 1000)
    assert kept.dtype == torch.float64 and kept[-1].item() == pytest.approx(np.prod(1 - betas))
    assert kept[1].item() == pytest.approx((1 - betas[0]) * (1 - betas[1]))
    noisy = add_noise(torch.full((2, 1, 1, 1), 2.0), torch.ones(2, 1, 1, 1), torch.tensor([0.64, 1.0]))
    assert noisy.flatten().tolist() == pytest.approx([0.8 * 2 + 0.6, 2.0])


def test_psnr_by_hand() -> None:
    black, grey = torch.full((1, 3, 4, 4), -1.0), torch.full((1, 3, 4, 4), -1 + 10 / 127.5)
    assert psnr(grey, black) == pytest.approx([10 * math.log10(255**2 / 100)])
    assert psnr(black - 5, black) == [math.inf]


def test_measures_of_a_model_that_sees_no_noise(model: DiffusionModel) -> None:
    """Images come back exactly, and no edit changes them."""

    class Still(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.mid_block = torch.nn.Parameter(torch.zeros(1)), torch.nn.Identity()

        def forward(self, x: torch.Tensor, _t: int) -> "Still":
            self.mid_block(x)
            self.sample = torch.zeros_like(x)
            return self

    still = replace(model, unet=Still())  # type: ignore[arg-type]
    images = (torch.arange(2 * 3 * 16 * 16).view(2, 3, 16, 16) % 255) / 127.5 - 1
    found = measure(still, images, [2])
    assert found["images"] == 2 and found["round_trip"] == {"2": {"mean": math.inf, "least": math.inf}}
    assert found["mix_to_style"]["least"] > 100 > found["mix_to_content"]["mean"]


def test_quality_file_names_the_weights_it_measured(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.anomalies.ddpm_quality.MIX_STEPS", 2)
    monkeypatch.setattr("variad.anomalies.ddpm_quality.PLAIN_STEPS", 2)
    write_quality(tmp_path / "quality.json", trained, cells=2, textiles=1, steps=(2,))
    report = json.loads((tmp_path / "quality.json").read_text("utf-8"))
    assert report["sha256"] == sha256(trained) and report["mix"]["gamma"] == 0.7
    assert report["psnr"]["held_out_photographs"]["images"] == 2
    assert set(report["psnr"]["elpv_mono"]["round_trip"]) == {"2"}
