"""A bundle: what is in it, what opens it, and every way in which a file is none."""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from variad.core.errors import UserError
from variad.detectors.interface import DetectorInput, Extractor
from variad.detectors.patchcore import PatchCore
from variad.inspect.answers import HeldOutScores
from variad.inspect.bundle import NO_DIGEST, Bundle, PixelRule, read_bundle, write_bundle
from variad.inspect.inspector import Inspector
from variad.networks.backbones import load_backbone, rebuild_backbone
from variad.networks.features import feature_maps, to_tensor
from variad.networks.pdn import NETWORKS, PDN

SIDE = 64
LAYERS = ("stage3", "stage2")  # an order that is not the network's
HELD_OUT = HeldOutScores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 3.0]), np.array([True, True, False]))
BUNDLE = Bundle(
    product="own/lid",
    class_name="bottle lid",
    method="patchcore",
    settings={"neighbours": 3},
    extractor=Extractor("efficientnet_lite0", LAYERS, None, SIDE, None),
    stored_as="float32",
    pixels=PixelRule(SIDE),
    held_out=HELD_OUT,
    quantiles=(0.5, 0.99),
    provenance={"training_images": [{"image_id": "train/good/a", "sha256": "ab"}], "name": "Größe"},
    licences=["weights: Apache-2.0"],
)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def make(folder: Path, bundle: Bundle = BUNDLE) -> Path:
    """A bundle of a PatchCore that was fitted on three images."""
    backbone = load_backbone("efficientnet_lite0", LAYERS)
    maps = feature_maps(backbone, to_tensor(images(3)))
    detector = PatchCore(neighbours=3)
    detector.fit(DetectorInput({layer: maps[layer] for layer in LAYERS}), np.random.default_rng(0))
    detector.save(folder / "model.safetensors")
    write_bundle(folder / "lid.variad", bundle, folder / "model.safetensors", backbone, images(2)[:, :8, :8])
    return folder / "lid.variad"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("bundle"))


def changed(path: Path, target: Path, **told: object) -> Path:
    """A bundle with other words in its description, signed anew, as a stranger could write one."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    description = {**json.loads(header["__metadata__"]["variad"]), "sha256": NO_DIGEST, **told}
    header["__metadata__"]["variad"] = json.dumps({key: value for key, value in description.items() if value != "gone"})
    text = json.dumps(header).encode()
    whole = struct.pack("<Q", len(text)) + text + data[8 + length :]
    digest = hashlib.sha256(whole).hexdigest().encode()
    target.write_bytes(whole.replace(NO_DIGEST.encode(), digest, 1))
    return target


def test_everything_comes_back(path: Path) -> None:
    opened = read_bundle(path)
    plain = replace(opened.bundle, held_out=HELD_OUT)
    assert plain == BUNDLE
    for name in ("score", "peak", "known_good"):
        np.testing.assert_array_equal(getattr(opened.bundle.held_out, name), getattr(HELD_OUT, name))
    np.testing.assert_array_equal(opened.shots, images(2)[:, :8, :8])
    assert opened.size == path.stat().st_size
    assert not any(name.startswith(("stages.3", "head", "classifier")) for name in opened.backbone)  # not needed


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(path: Path) -> None:
    data, digest = path.read_bytes(), read_bundle(path).sha256
    assert hashlib.sha256(data.replace(digest.encode(), NO_DIGEST.encode(), 1)).hexdigest() == digest


def test_a_score_is_the_detector_s_own(path: Path) -> None:
    """Layers in the detector's order, from features of the same backbone."""
    inspector, given = Inspector.open(path), images(4, seed=1)
    maps = feature_maps(load_backbone("efficientnet_lite0", LAYERS), to_tensor(given))
    detector = PatchCore.load(path.with_name("model.safetensors"))
    wanted = detector.score(DetectorInput({layer: maps[layer] for layer in LAYERS}))
    found = inspector.score(given)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.maps, wanted.maps)


@pytest.mark.parametrize("part", ["length", "header", "padding", "digest", "tensor", "last"])
def test_one_flipped_byte_is_found(path: Path, tmp_path: Path, part: str) -> None:
    data = bytearray(path.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    digest = read_bundle(path).sha256.encode()
    place = {
        "length": 0,
        "header": data.index(b"training_images"),
        "padding": 8 + length - 1,
        "digest": data.index(digest) + 3,
        "tensor": 8 + length + (len(data) - length) // 2,
        "last": len(data) - 1,
    }[part]
    data[place] ^= 0x01
    (tmp_path / "flipped.variad").write_bytes(data)
    with pytest.raises(UserError, match=r"flipped.variad: expected a bundle"):
        read_bundle(tmp_path / "flipped.variad")


def test_every_byte_of_the_header_counts(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    target = tmp_path / "flipped.variad"
    for place in range(0, 8 + struct.unpack("<Q", data[:8])[0], 97):
        for flip in (0x01, 0x2A, 0x80):
            target.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            with pytest.raises(UserError, match=r"flipped.variad: expected a bundle"):
                read_bundle(target)


@pytest.mark.parametrize("kept", [1, 7, 8, 100, 1000, 20_000, -1])
def test_a_bundle_cut_short(path: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "short.variad").write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"short.variad: expected a bundle") as error:
        read_bundle(tmp_path / "short.variad")
    assert ("cut short" in str(error.value) or "bytes" in str(error.value)) == (kept >= 100 or kept < 0)


def test_files_that_are_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("photographs of a lid\n" * 50)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    save_file({"memory_bank": np.ones((2, 2), np.float32)}, tmp_path / "plain")
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "other", {"variad": json.dumps({"format": "else"})})
    (tmp_path / "huge").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    (tmp_path / "deep").write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    for name, found in {
        "text": "a file of another kind",
        "empty": "an empty file",
        "folder": "Is a directory",
        "missing": "No such file",
        "plain": "a safetensors file of something else",
        "other": "a safetensors file of something else",
        "huge": "a file of another kind",
        "deep": "a file of another kind",
    }.items():
        with pytest.raises(UserError, match=rf"{name}: expected a bundle.*, found.*{found}"):
            read_bundle(tmp_path / name)


@pytest.mark.parametrize("version, advice", [(2, "a newer one"), (0, "make it anew"), (None, "make it anew")])
def test_other_versions(path: Path, tmp_path: Path, version: int | None, advice: str) -> None:
    with pytest.raises(UserError, match=rf"expected a bundle of format 1, found format {version}; .*{advice}"):
        read_bundle(changed(path, tmp_path / "other.variad", version=version))


@pytest.mark.parametrize(
    "told",
    [
        {"method": "evil.py:Class"},
        {"extractor": "gone"},
        {"pixels": {"image_size": 64, "other": 1}},
        {"quantiles": [0.5]},
        {"held_out": 3},
    ],
)
def test_a_strange_description(path: Path, tmp_path: Path, told: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"expected a bundle's description and tensors, found others"):
        read_bundle(changed(path, tmp_path / "strange.variad", **told))


EXTRACTOR = {"backbone": "efficientnet_lite0", "layers": LAYERS, "weights": None, "resolution": SIDE, "crop": None}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        *(({"pixels": {"image_size": side}}, "image_size") for side in (0, -3, 10**9, 1.5, "64", True, None)),
        ({"pixels": {"image_size": 64, "low": float("nan"), "high": 3.0}}, "low and high"),
        ({"pixels": {"image_size": 64, "low": 9.0, "high": 3.0}}, "low and high"),
        ({"pixels": {"image_size": 64, "low": 9.0}}, "low and high"),
        *(({"quantiles": pair}, "quantiles") for pair in ([2, 0.9], [-1, 0.5], [float("nan"), 0.9], [0.99, 0.5])),
        ({"quantiles": [0.5, 10**400]}, "OverflowError"),
        *(({"extractor": EXTRACTOR | {"resolution": side}}, "resolution") for side in (0, 10**9, "64", None)),
        *(({"extractor": EXTRACTOR | {"crop": side}}, "crop") for side in (0, -4, 65)),
        *(({"extractor": EXTRACTOR | {"tiles": pair}}, "tiles") for pair in ([0, 0], [32, 32], [-32, -64], ["a", "b"])),
        ({"extractor": EXTRACTOR | {"backbone": 5}}, "backbone and layers"),
        ({"stored_as": "int8"}, "stored_as"),
        ({"product": 5}, "product and class_name"),
        ({"provenance": {}}, "training_images"),
    ],
)
def test_values_that_no_photograph_could_be_scored_with(
    path: Path, tmp_path: Path, told: dict[str, object], wrong: str
) -> None:
    with pytest.raises(UserError, match=rf"expected a bundle's description and tensors, found others: .*{wrong}"):
        read_bundle(changed(path, tmp_path / "strange.variad", **told))


@pytest.mark.parametrize(
    "held_out",
    [
        HeldOutScores(np.array([1.0, np.nan]), np.ones(2), np.ones(2, bool)),  # else everything would be good
        HeldOutScores(np.array([1.0, np.inf]), np.ones(2), np.ones(2, bool)),
        HeldOutScores(np.ones(2), np.ones(3), np.ones(2, bool)),
        HeldOutScores(np.ones(2), np.ones(2), np.ones(2)),
        HeldOutScores(np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1), bool)),
    ],
)
def test_held_out_scores_that_set_no_threshold(tmp_path: Path, held_out: HeldOutScores) -> None:
    with pytest.raises(UserError, match=r"found others: ValueError\('held-out scores'\)"):
        read_bundle(make(tmp_path, replace(BUNDLE, held_out=held_out)))


@pytest.mark.parametrize("digest", ["\ud800" * 64, "G" * 64, 5])
def test_a_digest_that_is_none(path: Path, tmp_path: Path, digest: object) -> None:
    with pytest.raises(UserError, match=r"expected a bundle with its sha256, found"):
        read_bundle(changed(path, tmp_path / "strange.variad", sha256=digest))


def test_tensors_of_another_detector_or_backbone(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the tensors of cflow, found others"):
        Inspector.open(changed(path, tmp_path / "a.variad", method="cflow"))
    extractor = {"backbone": "pdn_tiny", "layers": ["features"], "weights": None, "resolution": 64, "crop": None}
    with pytest.raises(UserError, match=r"b.variad: expected the weights of PDN, found wrong keys"):
        Inspector.open(changed(path, tmp_path / "b.variad", extractor=extractor))


def test_a_class_of_a_user_s_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a detector among patchcore.*found 'mine.py:Mine'.*travel"):
        make(tmp_path, replace(BUNDLE, method="mine.py:Mine"))
    assert not (tmp_path / "lid.variad").exists()


@pytest.mark.parametrize("layers", [["stage1"], ["stage5", "stage3"], ["stage7"]])
def test_a_backbone_is_rebuilt_from_its_tensors(layers: list[str]) -> None:
    whole = load_backbone("efficientnet_lite0", layers)
    again = rebuild_backbone("efficientnet_lite0", layers, whole.tensors(), "here")
    given = to_tensor(images(2))
    for layer, values in whole(given).items():
        assert torch.equal(again(given)[layer], values)


def test_a_patch_description_network_is_rebuilt_without_a_file() -> None:
    state = PDN(NETWORKS["pdn_tiny"]).state_dict()
    found = rebuild_backbone("pdn_tiny", ["features"], state, "here")
    assert {name: values.shape for name, values in found.tensors().items()} == {n: v.shape for n, v in state.items()}
    assert found(to_tensor(images(1)))["features"].shape == (1, 96, 8, 8)
    with pytest.raises(UserError, match=r"here: conv1.weight: expected shape"):
        rebuild_backbone("pdn_tiny", ["features"], {**state, "conv1.weight": torch.zeros(1)}, "here")
