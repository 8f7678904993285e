"""The inspector: photographs of every kind, one at a time and many, and what it imports."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Images, read_image, resize_square, to_rgb8
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import Extractor, Scored
from variad.inspect.answers import SEEN
from variad.inspect.bundle import PixelRule, write_bundle
from variad.inspect.inspector import Inspection, Inspector, Photograph, Unread
from variad.networks.pdn import NETWORKS, PDN
from variad.networks.weights import save_weights

from .test_bundle import BUNDLE, LAYERS, SIDE, images, make
from .test_onnx_model import LITE0, PDN_TINY, fitted

NOT_NEEDED = ("h5py", "pandas", "snakemake", "open_clip", "timm", "torchvision", "scipy", "torch._dynamo", "yaml")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("inspector"))


@pytest.fixture(scope="module")
def inspector(path: Path) -> Inspector:
    return Inspector.open(path)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Twenty photographs of different sizes; the fourth is damaged and the last is missing."""
    made = []
    for number in range(20):
        size = (70 + number, 90 - number)
        picture = Image.fromarray(images(1, seed=number)[0]).resize(size)
        made.append(tmp_path / f"{number:02d}.png")
        picture.save(made[-1])
    made[3].write_bytes(made[3].read_bytes()[:500])
    return [*made, tmp_path / "missing.png"]


def test_numbers_do_not_depend_on_the_batch(inspector: Inspector, photographs: list[Path]) -> None:
    found = {batch: list(inspector.inspect_many(photographs, batch)) for batch in (1, 7, 16)}
    for other in (found[7], found[16]):
        for one, same in zip(found[1], other, strict=True):
            assert type(one) is type(same) and one.path == same.path
            if isinstance(one, Inspection) and isinstance(same, Inspection):
                assert (one.score, one.height, one.width) == (same.score, same.height, same.width)
                np.testing.assert_array_equal(one.patch_map, same.patch_map)
    alone = inspector.inspect(photographs[5])
    assert isinstance(found[16][5], Inspection) and alone.score == found[16][5].score


RESNET = Extractor("resnet18", ("layer1", "layer2"), "of the fixture", 96, None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of random weights by network."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pdn, resnet = PDN(NETWORKS["pdn_tiny"]), timm.create_model("resnet18", pretrained=False)
    save_weights(folder / "pdn_tiny.safetensors", pdn.state_dict(), asdict(pdn.config))
    save_file(resnet.state_dict(), folder / "resnet18.safetensors")
    return {network: str(folder / f"{network}.safetensors") for network in ("pdn_tiny", "resnet18")}


@pytest.mark.parametrize(
    ("method", "extractor"),
    [
        ("patchcore", LITE0), ("cflow", LITE0), ("reverse_distillation", LITE0), ("efficientad", PDN_TINY),
        ("patchcore", RESNET), ("reverse_distillation", RESNET),
    ],
)  # fmt: skip
def test_threads_that_score_at_once_do_not_meet(
    method: str, extractor: Extractor, weights: dict[str, str], tmp_path: Path
) -> None:
    """Of every detector, with networks of ours and of timm's: the numbers of a job with one thread, bit for bit."""
    case = fitted(method, extractor, weights.get(extractor.backbone, ""))
    case.detector.save(tmp_path / "model.safetensors")
    plain = replace(case.extractor, weights=None)
    bundle = replace(BUNDLE, method=method, extractor=plain, stored_as=case.stored_as, pixels=PixelRule(96))
    write_bundle(tmp_path / "lid.variad", bundle, tmp_path / "model.safetensors", case.backbone, case.images[:1])
    given, threads = np.tile(case.images, (4, 1, 1, 1)), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [Inspector.open(tmp_path / "lid.variad")._score(image[None]) for image in case.images]
    finally:
        torch.set_num_threads(threads)
    inspector = Inspector.open(tmp_path / "lid.variad", threads=4)
    for _ in range(3):
        found = inspector.score(given)
        np.testing.assert_array_equal(found.scores, np.tile([one.scores[0] for one in alone], 4))
        np.testing.assert_array_equal(found.maps, np.tile(np.stack([one.maps[0] for one in alone]), (4, 1, 1)))
    assert np.abs(found.scores[:5] - case.scores).max() <= 1e-5 * np.abs(case.scores).max()


def test_order_is_kept_and_a_bad_file_is_one_sentence(inspector: Inspector, photographs: list[Path]) -> None:
    found = list(inspector.inspect_many(iter(photographs), 4))
    assert [one.path for one in found] == [str(path) for path in photographs]
    bad = {Path(one.path).name: one.reason for one in found if isinstance(one, Unread)}
    assert list(bad) == ["03.png", "missing.png"]
    assert "expected a readable image" in bad["03.png"] and "No such file" in bad["missing.png"]
    with pytest.raises(UserError, match=r"03.png: expected"):
        inspector.inspect(photographs[3])


def test_one_that_cannot_be_scored_or_held_does_not_end_the_others(
    inspector: Inspector, photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As features do that float16 cannot hold, and a photograph larger than the memory."""
    plain, read = inspector._score, inspector.read
    odd = read(photographs[1]).image

    def score(given: Images) -> Scored:
        if any(np.array_equal(image, odd) for image in given):
            raise UserError("extractor: expected features up to 65504, found larger ones.")
        return plain(given)

    def read_some(path: str | Path) -> Photograph:
        if Path(path).name == "02.png":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(inspector, "_score", score)
    monkeypatch.setattr(inspector, "read", read_some)
    found = list(inspector.inspect_many(photographs[:3] + photographs[4:6], 4))
    assert [type(one).__name__ for one in found] == ["Inspection", "Unread", "Unread", "Inspection", "Inspection"]
    assert isinstance(found[1], Unread) and "01.png: extractor: expected features" in found[1].reason
    assert isinstance(found[2], Unread) and "02.png: expected a photograph that fits into memory" in found[2].reason


def test_few_photographs_are_taken_ahead(inspector: Inspector, photographs: list[Path]) -> None:
    taken = []

    def endless():
        while True:
            taken.append(photographs[0])
            yield photographs[0]

    found = inspector.inspect_many(endless(), 2)
    assert isinstance(next(found), Inspection)
    assert len(taken) <= 2 * inspector.threads
    found.close()


def test_nothing_gives_nothing(inspector: Inspector) -> None:
    assert list(inspector.inspect_many([])) == []


@pytest.mark.parametrize("kind", ["grey", "exif", "deep", "alpha"])
def test_a_photograph_is_read_as_the_workflow_packs_it(inspector: Inspector, tmp_path: Path, kind: str) -> None:
    grey = np.tile(np.arange(90, dtype=np.uint8), (70, 1))
    file = tmp_path / "photo.png"
    if kind == "deep":
        Image.fromarray(grey.astype(np.uint16) * 700).save(file)
    elif kind == "exif":
        file = tmp_path / "photo.jpg"
        exif = Image.Exif()
        exif[274] = 6  # on its side
        Image.fromarray(grey).save(file, exif=exif)
    else:
        Image.fromarray(grey).convert("RGBA" if kind == "alpha" else "L").save(file)
    low_high = {"low": 100.0, "high": 60_000.0}
    scaled = Inspector.__new__(Inspector)
    scaled.bundle = replace(BUNDLE, pixels=PixelRule(SIDE, **low_high))
    scaled._seen = set()
    raw, deep = read_image(file), kind == "deep"
    for one, scale in ((inspector, {}), (scaled, low_high)):
        image, height, width, remarks = one.read(file)
        assert len(remarks) == (deep != bool(scale))  # of a depth that training photographs did not have
        assert (height, width) == ((90, 70) if kind == "exif" else (70, 90))
        np.testing.assert_array_equal(image, resize_square(to_rgb8(raw, **scale), SIDE))
    if kind == "deep":
        assert (scaled.read(file).image != inspector.read(file).image).any()


def test_a_photograph_that_the_detector_learned_from_is_remarked_on(tmp_path: Path) -> None:
    photo, copy, other = (tmp_path / f"{name}.png" for name in ("photo", "copy", "other"))
    Image.fromarray(images(1, seed=1)[0]).save(photo)
    copy.write_bytes(photo.read_bytes())
    Image.fromarray(images(1, seed=2)[0]).save(other)
    known = {"training_images": [{"image_id": "train/good/a", "sha256": sha256(photo)}]}
    one = Inspector.open(make(tmp_path, replace(BUNDLE, provenance=known)))
    found = list(one.inspect_many([photo, copy, other]))
    assert [inspection.remarks for inspection in found] == [(SEEN,), (SEEN,), ()]


def test_resolution_crop_and_rounding_are_those_of_the_extractor(tmp_path: Path) -> None:
    extractor = Extractor("efficientnet_lite0", LAYERS, None, 96, 80)
    one = Inspector.open(make(tmp_path, replace(BUNDLE, extractor=extractor, stored_as="float16")))
    scored = one.score(images(1, seed=3))
    assert scored.maps.shape == (1, 10, 10)  # stage3 has stride 8
    found = Inspection("x", 50, 60, float(scored.scores[0]), 0.5, "good", scored.maps[0])
    size = MapSize(50, 60, 96, 80, 4.0)
    np.testing.assert_array_equal(one.anomaly_map(found), full_size_map(scored.maps[0], size))
    other = Inspector.open(make(tmp_path, replace(BUNDLE, extractor=extractor)))
    assert scored.scores[0] != other.score(images(1, seed=3)).scores[0]  # features were rounded


def test_answers_and_regions(inspector: Inspector) -> None:
    patch_map = np.zeros((8, 8), np.float32)
    patch_map[2:4, 5:7] = 100
    found = Inspection("x", 640, 320, 100.0, 1.0, "bad", patch_map)
    (region,) = inspector.regions(found)
    assert region.left < 240 < region.left + region.width and region.top < 240 < region.top + region.height
    assert inspector.regions(replace(found, patch_map=np.zeros((8, 8), np.float32))) == []
    assert inspector.answers.answer(1e9) == "bad" and inspector.answers.calibrated(1e9) == 1


def test_a_huge_picture_is_refused(inspector: Inspector, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "bomb.tif", np.zeros((30_000, 30_000), np.uint8), compression="zlib")
    with pytest.raises(UserError, match=r"bomb.tif: expected an image of at most 178,956,970 pixels"):
        inspector.inspect(tmp_path / "bomb.tif")


def test_nothing_heavy_is_imported_on_the_way_to_a_score(path: Path, photographs: list[Path]) -> None:
    program = (
        "import sys; from variad.inspect.inspector import Inspector\n"
        f"print(Inspector.open({str(path)!r}).inspect({str(photographs[0])!r}).score)\n"
        f"print([name for name in {NOT_NEEDED!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    score, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert float(score) == Inspector.open(path).inspect(photographs[0]).score
