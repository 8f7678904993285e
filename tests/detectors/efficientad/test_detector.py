"""EfficientAD: its parts by hand, and the whole on small images with a small teacher of random weights."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.detectors.efficientad import EfficientAD, MapRange, TeacherAnswers, split_off
from variad.detectors.efficientad_networks import Batch, StudentAndAutoencoder
from variad.detectors.interface import DetectorInput, Extractor
from variad.networks.features import to_tensor
from variad.networks.pdn import NETWORKS, PDN, PDNConfig, load_pdn, standardised
from variad.networks.weights import save_weights

SIDE = 64
FAST = {"steps": 4, "precision": "float32", "penalty": "none"}


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    path = tmp_path_factory.mktemp("teacher") / "pdn_tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PDN(NETWORKS["pdn_tiny"])
    save_weights(path, network.state_dict(), asdict(network.config))
    return Extractor("pdn_tiny", ("features",), str(path), SIDE, None)


def textured(count: int, seed: int = 0, side: int = SIDE) -> np.ndarray:
    """Stripes with a little noise, uint8 ``[count, side, side, 3]``."""
    generator = np.random.default_rng(seed)
    stripes = 128 + 60 * np.sin(np.arange(side) / 3)[None, :, None, None]
    noise = generator.normal(0, 6, (count, side, side, 1))
    return np.repeat(np.clip(stripes + noise, 0, 255), 3, axis=3).astype(np.uint8)


def seen(images: np.ndarray, extractor: Extractor) -> DetectorInput:
    """What the workflow would hand over: images and cached features of the teacher."""
    teacher = load_pdn(extractor.weights, extractor.backbone)
    with torch.inference_mode():
        features = teacher(standardised(to_tensor(images))).permute(0, 2, 3, 1).contiguous().numpy()
    return DetectorInput({"features": features}, images)


def fitted(extractor: Extractor, images: np.ndarray, **settings: object) -> EfficientAD:
    detector = EfficientAD(extractor, **{**FAST, **settings})
    detector.fit(seen(images, extractor), np.random.default_rng(0))
    return detector


def test_maps_and_scores_by_hand(extractor: Extractor) -> None:
    detector, given = fitted(extractor, textured(3)), seen(textured(2, seed=1), extractor)
    images = standardised(to_tensor(given.images))
    with torch.no_grad():
        student = detector.networks.student(images).numpy()
        rebuilt = detector.networks.autoencoder(images).numpy()
    answers = (given.features["features"] - detector.mean.numpy()) / detector.std.numpy()
    teacher_map = ((answers - student[:, :96].transpose(0, 2, 3, 1)) ** 2).mean(axis=3)
    autoencoder_map = ((rebuilt - student[:, 96:]) ** 2).mean(axis=1)
    (a, b), (c, d) = detector.ranges
    wanted = 0.5 * 0.1 * ((teacher_map - a) / (b - a) + (autoencoder_map - c) / (d - c))
    found = detector.score(given)
    assert found.maps.shape == (2, 16, 16) and found.maps.dtype == found.scores.dtype == np.float32
    np.testing.assert_allclose(found.maps[:, 4:-4, 4:-4], wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted.max(axis=(1, 2)), rtol=1e-3, atol=1e-4)


def test_nothing_but_a_teacher_answers_as_one(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student with an autoencoder has twice a teacher's channels: its answers would not even fit."""
    asked = []
    original = TeacherAnswers.__init__
    monkeypatch.setattr(
        TeacherAnswers, "__init__", lambda self, *given: asked.append(given[0]) or original(self, *given)
    )
    detector = fitted(extractor, textured(2))
    detector.score(seen(textured(1), extractor))
    assert asked and all(teacher.head.out_channels == detector.networks.channels for teacher in asked)
    assert all(teacher is not detector.networks.student for teacher in asked)


def test_the_border_repeats_the_nearest_position_or_is_zero(extractor: Extractor) -> None:
    images = textured(2)
    nearest, zero = (
        fitted(extractor, images, border=border).score(seen(images, extractor)).maps for border in ("nearest", "zero")
    )
    assert np.array_equal(nearest[:, 4:-4, 4:-4], zero[:, 4:-4, 4:-4])
    assert np.array_equal(nearest[:, :4, 4:-4], np.repeat(nearest[:, 4:5, 4:-4], 4, axis=1))
    assert (zero[:, :4] == 0).all() and (zero[:, :, -4:] == 0).all()


def test_loss_by_hand() -> None:
    networks, generator = (
        StudentAndAutoencoder(PDNConfig("small", 1 / 32), SIDE).eval(),
        torch.Generator().manual_seed(0),
    )
    images, views, penalty = torch.randn(3, 2, 3, SIDE, SIDE, generator=generator)
    answers, view_answers = torch.randn(2, 2, 12, 8, 8, generator=generator)
    found = networks.loss(Batch(images, answers, views, view_answers, penalty), 0.0)
    student, rebuilt = networks.student, networks.autoencoder(views)
    wanted = (student(images)[:, :12] - answers).square().mean() + student(penalty)[:, :12].square().mean()
    wanted += (rebuilt - view_answers).square().mean() + (rebuilt - student(views)[:, 12:]).square().mean()
    torch.testing.assert_close(found, wanted)
    without = networks.loss(Batch(images, answers, views, view_answers, penalty[:0]), 0.0)
    torch.testing.assert_close(without, wanted - student(penalty)[:, :12].square().mean())


def test_the_student_alone_is_trained_by_the_hard_features() -> None:
    networks = StudentAndAutoencoder(PDNConfig("small", 1 / 32), SIDE)
    networks.autoencoder.requires_grad_(False)
    images = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    answers = networks.student(images)[:, :12].detach().clone()
    answers[0, 5, 3, 3] += 10  # one of 768 values is hard: the others must not be heard
    rebuilt = networks.autoencoder(images).detach()
    networks.student.head.weight.data[12:] = 0
    batch = Batch(images, answers, images, rebuilt, images[:0])
    networks.loss(batch, 0.9999).backward()
    gradient = networks.student.head.bias.grad[:12]
    assert gradient[5].item() == pytest.approx(-20, rel=1e-4)
    assert gradient[[0, 1, 2, 3, 4, 6]].abs().max() < 1e-6


def test_quantile_normalisation_by_hand() -> None:
    maps = np.arange(1001, dtype=np.float32).reshape(1, 7, 143)
    scale = MapRange.of(maps)
    assert scale == pytest.approx((900, 995))
    np.testing.assert_allclose(scale.normalised(np.array([900, 995, 1090], np.float32)), [0, 0.1, 0.2], atol=1e-6)
    flat = MapRange.of(np.full((1, 2, 2), 3, np.float32))
    assert flat.normalised(np.array([3, 5], np.float32)).tolist() == [0, 2]


def test_scale_comes_from_held_out_training_images(extractor: Extractor) -> None:
    images = textured(4)
    detector = fitted(extractor, images, held_out=0.25)
    _, held = split_off(4, 0.25, np.random.default_rng(0))
    features = seen(images, extractor).features["features"]
    maps = detector._maps(DetectorInput({"features": features[held]}, images[held]))
    assert len(held) == 1 and detector.ranges == [MapRange.of(maps[0]), MapRange.of(maps[1])]


@pytest.mark.parametrize("count, part, held", [(1, 0.1, 1), (2, 0.1, 1), (5, 0.1, 1), (40, 0.1, 4), (2, 0.9, 1)])
def test_split_of_few_images(count: int, part: float, held: int) -> None:
    learned, measured = split_off(count, part, np.random.default_rng(0))
    assert len(measured) == held and learned
    assert sorted({*learned, *measured}) == list(range(count))
    assert count == 1 or not set(learned) & set(measured)
    assert split_off(count, 0, np.random.default_rng(0)) == (list(range(count)),) * 2


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_one_and_two_images(extractor: Extractor, count: int, batch: int) -> None:
    images = textured(count)
    scored = fitted(extractor, images, batch=batch).score(seen(images, extractor))
    assert scored.scores.shape == (count,) and np.isfinite(scored.maps).all()


def test_a_score_depends_on_its_image_alone(extractor: Extractor) -> None:
    detector, images = fitted(extractor, textured(2)), textured(5, seed=3)
    together = detector.score(seen(images, extractor))
    order = [3, 0, 4, 1, 2]
    shuffled = detector.score(seen(images[order], extractor))
    # the cached features, too, are those of one call each
    features = seen(images, extractor).features["features"]
    alone = [detector.score(DetectorInput({"features": features[i : i + 1]}, images[i : i + 1])) for i in range(5)]
    assert np.array_equal(together.scores, np.concatenate([part.scores for part in alone]))
    assert np.array_equal(together.maps, np.concatenate([part.maps for part in alone]))
    np.testing.assert_allclose(shuffled.scores, together.scores[order], rtol=1e-5)


@pytest.mark.usefixtures("has_bfloat16")
def test_same_seed_same_bytes_and_saved_models_score_the_same(extractor: Extractor, tmp_path: Path) -> None:
    images = textured(3)
    first, second = (fitted(extractor, images, precision="bfloat16", penalty="photographs") for _ in range(2))
    first.save(tmp_path / "first.safetensors")
    second.save(tmp_path / "second.safetensors")
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()
    given = seen(textured(2, seed=5), extractor)
    loaded = EfficientAD.load(tmp_path / "first.safetensors")
    assert loaded.settings == first.settings
    assert loaded.extractor == replace(extractor, weights=None)  # a model says nothing of the machine it was made on
    assert np.array_equal(loaded.score(given).maps, first.score(given).maps)
    other = EfficientAD(extractor, **FAST)
    other.fit(seen(images, extractor), np.random.default_rng(1))
    assert not np.array_equal(other.score(given).scores, first.score(given).scores)


def test_a_bank_of_views_is_answered_before_the_training(extractor: Extractor) -> None:
    images = textured(3)
    scored = fitted(extractor, images, views=2, batch=2).score(seen(images, extractor))
    assert np.isfinite(scored.scores).all()


def test_without_autoencoder_the_map_is_the_students_alone(extractor: Extractor) -> None:
    images = textured(3)
    detector, given = fitted(extractor, images, autoencoder=False, held_out=0), seen(images, extractor)
    assert detector.networks.autoencoder is None and detector.networks.student.head.weight.shape[0] == 96
    maps = detector._maps(given)
    assert maps.shape == (1, 3, 8, 8) and len(detector.ranges) == 1
    found = detector.score(given).maps[:, 4:-4, 4:-4]
    np.testing.assert_array_equal(found, detector.ranges[0].normalised(maps[0]))


def test_training_stops_on_a_plateau(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    original = StudentAndAutoencoder.loss
    monkeypatch.setattr(StudentAndAutoencoder, "loss", lambda *given: steps.append(1) or original(*given))
    fitted(extractor, textured(1), steps=30, learning_rate=0.0, patience=5)
    assert len(steps) <= 10


def test_penalty_images_of_a_folder(extractor: Extractor, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "n01").mkdir()
    Image.fromarray(textured(1, side=50)[0]).save(tmp_path / "n01" / "one.JPEG")
    fitted(extractor, textured(1), penalty=str(tmp_path))
    with pytest.raises(
        UserError, match=r"efficientad.penalty: expected 'photographs', 'none' or a folder .* 'nowhere'"
    ):
        fitted(extractor, textured(1), penalty="nowhere")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"steps": 0}, r"efficientad.steps: expected a whole number of at least 1, found 0\."),
        ({"batch": 1.5}, r"efficientad.batch: .*found 1.5\."),
        ({"views": 0}, r"efficientad.views: expected null or a whole number"),
        ({"patience": True}, r"efficientad.patience: .*found True"),
        ({"learning_rate": "fast"}, r"efficientad.learning_rate: expected a number of at least 0, found 'fast'"),
        ({"held_out": 1.0}, r"efficientad.held_out: expected a number in \[0, 1\), found 1.0"),
        ({"autoencoder": None}, r"efficientad.autoencoder: expected true or false, found None"),
        ({"border": "crop"}, r"efficientad.border: expected nearest or zero, found 'crop'"),
        ({"precision": "half"}, r"efficientad.precision: expected one of float32, tf32, bfloat16, found 'half'"),
        ({"penalty": None}, r"efficientad.penalty: expected 'photographs', 'none' or a folder, found None"),
    ],
)
def test_bad_settings(extractor: Extractor, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EfficientAD(extractor, **settings)


def test_extractors_that_are_no_teacher() -> None:
    with pytest.raises(UserError, match=r"efficientad.extractor: expected a backbone of pdn_tiny.*found 'resnet18'"):
        EfficientAD(Extractor("resnet18", ("layer2",), None, 256, None))
    with pytest.raises(UserError, match=r"expected the layer features, found layers other"):
        EfficientAD(Extractor("pdn_tiny", ("other",), "teacher.safetensors", 256, None))
    with pytest.raises(UserError, match=r"expected a file of weights, found None"):
        EfficientAD(Extractor("pdn_tiny", ("features",), None, 256, None)).fit(
            DetectorInput({}), np.random.default_rng(0)
        )
    with pytest.raises(UserError, match=r"expected images of at least 64 pixels, found 32"):
        EfficientAD(Extractor("pdn_tiny", ("features",), "teacher.safetensors", 256, 32))


@pytest.mark.slow
def test_a_planted_defect_is_found_where_it_is(extractor: Extractor) -> None:
    detector = fitted(extractor, textured(6), steps=300, penalty="photographs", learning_rate=1e-3)
    images = textured(8, seed=9)
    images[4:, 20:32, 40:52] = 230
    scored = detector.score(seen(images, extractor))
    assert scored.scores[4:].min() > scored.scores[:4].max()
    for anomaly_map in scored.maps[4:]:
        row, column = np.unravel_index(anomaly_map[4:-4, 4:-4].argmax(), (8, 8))
        # within half a receptive field of the defect's centre, pixels (26, 46)
        assert abs(16 + 4 * row - 26) <= 20 and abs(16 + 4 * column - 46) <= 20
