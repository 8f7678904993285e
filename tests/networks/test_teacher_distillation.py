"""Distilling and measuring a teacher, with tiny settings."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.datasets import open_images
from variad.detectors.efficientad_teacher import (
    Distillation,
    DistillationTarget,
    TeacherSettings,
    agreement,
    centre_matrix,
    distil_teacher,
    orthogonal_rows,
    settings_from,
    training_material,
    write_quality,
)
from variad.networks.pdn import load_pdn, output_side

FAST = TeacherSettings(
    network="pdn_tiny", steps=6, batch=2, crop=64, warm_up=2, calibration=2, drawn=3, drawn_side=32, every=2
)


@pytest.fixture(scope="module", autouse=True)
def _few_pictures() -> Iterator[None]:
    """Reading all of them takes seconds, and nothing here depends on their number."""
    patch = pytest.MonkeyPatch()
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (90, 110, 3), dtype=np.uint8) for _ in range(2)]
    patch.setattr(open_images, "photographs", lambda held_out: pictures)
    patch.setattr(open_images, "textiles", lambda held_out: pictures)
    yield
    patch.undo()


@pytest.mark.parametrize("stride, enlarge", [(4, 1), (4, 2), (8, 2), (8, 1)])
def test_a_ramp_is_sampled_at_the_receptive_fields_centres(stride: int, enlarge: int) -> None:
    side = 96
    # position i of a stage knows the pixel of the enlarged image that it is centred on
    enlarged = stride * (np.arange(enlarge * side // stride) + 1) - 1
    original = (enlarged + 0.5) / enlarge - 0.5
    matrix = centre_matrix(side, stride, enlarge, len(original))
    assert matrix.shape == (output_side(side), len(original))
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix @ original, 16 + 4 * np.arange(output_side(side)))


def test_orthogonal_rows_or_columns() -> None:
    wide, tall = (orthogonal_rows(*shape, torch.Generator().manual_seed(0)) for shape in ((4, 9), (9, 4)))
    torch.testing.assert_close(wide @ wide.T, torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(tall.T @ tall, torch.eye(4), atol=1e-5, rtol=0)


def test_target_is_standardised_and_its_stages_count_the_same() -> None:
    target = DistillationTarget(("stage2", "stage3"), 16, 2, 0)
    squares = target.projection.square().sum(dim=0)
    # before the calibration a stage's channels share its part: 24 and 40 of them
    assert (target.projection * torch.tensor([24.0] * 24 + [40.0] * 40).sqrt()).square().sum() == pytest.approx(16)
    assert squares[:24].mean() > squares[24:].mean()
    batches = [torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    target.calibrate(batches)
    found = torch.cat([target(batch) for batch in batches])
    assert found.shape == (9, 16, 8, 8)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(16), atol=1e-2, rtol=0)
    torch.testing.assert_close(found.var((0, 2, 3)), torch.ones(16), atol=1e-2, rtol=0)


def test_target_follows_the_image() -> None:
    target = DistillationTarget(("stage2", "stage3"), 16, 2, 0)
    wide = torch.rand(1, 3, 96, 104, generator=torch.Generator().manual_seed(0))
    first, second = target.features(wide[..., :96]), target.features(wide[..., 8:])
    # 8 pixels are 2 positions; the middle is out of reach of either border
    similarity = torch.nn.functional.cosine_similarity(first[0, 5:11, 7:11], second[0, 5:11, 5:9], dim=-1)
    assert similarity.min() > 0.95


def test_training_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    distil_teacher(whole, FAST)
    real, done = Distillation.step, []

    def killed_at_4(self: Distillation, images: torch.Tensor) -> dict[str, float]:
        if self.next_step == 4:
            raise KeyboardInterrupt
        done.append(self.next_step)
        return real(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Distillation, "step", killed_at_4)
        with pytest.raises(KeyboardInterrupt):
            distil_teacher(broken, FAST)
    with pytest.raises(UserError, match=r"broken.state.pt: expected a training with the same settings"):
        distil_teacher(broken, replace(FAST, seed=1))
    distil_teacher(broken, FAST)
    assert done == [0, 1, 2, 3]
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.safetensors", "whole.safetensors"]


@pytest.mark.usefixtures("has_bfloat16")
def test_training_lowers_the_error() -> None:
    settings = replace(FAST, steps=40, warm_up=4, learning_rate=3e-3)
    crops, target = training_material(settings)
    training, batch = Distillation(settings, target), crops.batch(2, 0)
    losses = [training.step(batch)["unexplained variance"] for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]


def test_agreement_by_hand() -> None:
    wanted = torch.tensor([[1.0, -1.0], [3.0, 1.0]]).view(1, 2, 1, 2)  # two channels at two positions
    target = lambda _: wanted  # noqa: E731
    image = [torch.zeros(1, 3, 40, 40)]
    perfect = agreement(_Constant(wanted), target, image)
    assert perfect == {"crops": 1, "explained": 1, "cosine": 1}
    half = agreement(_Constant(wanted / 2), target, image)
    # squared error (1 + 1 + 9 + 1) / 4 = 3 against a variance of 1 + 1 + 1 + 1 = 4
    assert half == {"crops": 1, "explained": 0.25, "cosine": 1}


class _Constant(nn.Module):
    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output


def test_settings_from_a_config() -> None:
    assert settings_from({}, "here") == TeacherSettings()
    assert settings_from({"stages": ["stage2"]}, "here") == TeacherSettings(stages=("stage2",))
    with pytest.raises(UserError, match=r"^here: expected settings of distil_teacher, found: .*'step'"):
        settings_from({"step": 10}, "here")
    with pytest.raises(UserError, match=r"expected one of pdn_tiny, pdn_small, pdn_medium, found 'pdn_huge'"):
        settings_from({"network": "pdn_huge"}, "here")


@pytest.mark.slow
def test_quality_file_names_the_weights_it_measured(tmp_path: Path) -> None:
    distil_teacher(tmp_path / "model.safetensors", FAST)
    assert load_pdn(tmp_path / "model.safetensors", "pdn_tiny").config.channels == 96
    write_quality(tmp_path / "quality.json", tmp_path / "model.safetensors", FAST, crops=8)
    report = json.loads((tmp_path / "quality.json").read_text("utf-8"))
    assert report["sha256"] == sha256(tmp_path / "model.safetensors")
    assert report["agreement"]["photographs"]["crops"] == 8
    assert -1 < report["agreement"]["training_crops"]["explained"] < 0.5
    assert 0 < report["elpv_mono_patchcore_auroc"]["pdn_tiny"]["5_shot"] <= 1
