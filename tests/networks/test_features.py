"""Features on disk are those of the backbone, whatever the batches."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.core.records import RowsBefore, image_batches, read_features
from variad.networks import on_demand as module
from variad.networks.feature_file import write_features
from variad.networks.features import feature_maps, prepare, to_tensor
from variad.networks.on_demand import FeaturesOnDemand


class TinyBackbone(nn.Module):
    """Two layers: the image halved, and its channel mean quartered."""

    layers = ("half", "quarter")

    def __init__(self):
        super().__init__()
        self.strides = {"half": 2, "quarter": 4}

    weights_sha256 = "f" * 64

    def forward(self, images):
        pool = nn.functional.avg_pool2d
        return {"half": pool(images, 2), "quarter": pool(images.mean(1, keepdim=True), 4)}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def write(path, images, batch=2, **options):
    batches = (images[start : start + batch] for start in range(0, len(images), batch))
    write_features(path, batches, len(images), TinyBackbone(), {"extractor": "tiny"}, **options)


def test_every_layer_of_every_image_is_kept(tmp_path, images):
    write(tmp_path / "f.h5", images, image_ids=list("abcde"))
    read = read_features(tmp_path / "f.h5", ["half", "quarter"])
    by_hand = images[3, 2:4, 4:6].astype(float).mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(read["half"][3, 1, 2], by_hand, rtol=1e-5)
    np.testing.assert_allclose(read["quarter"][4, 0, 1, 0], images[4, :4, 4:].mean() / 255, rtol=1e-5)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file.attrs["strides"].tolist() == [2, 4]
        assert file.attrs["weights_sha256"] == "f" * 64


def test_batches_do_not_matter(tmp_path, images):
    write(tmp_path / "one.h5", images, batch=1)
    write(tmp_path / "all.h5", images, batch=5)
    one, whole = (read_features(tmp_path / f"{name}.h5", ["half"])["half"] for name in ("one", "all"))
    np.testing.assert_array_equal(one, whole)


def test_rows_come_in_the_order_asked_for_and_as_often(tmp_path, images):
    write(tmp_path / "f.h5", images)
    everything = read_features(tmp_path / "f.h5", ["half"])["half"]
    np.testing.assert_array_equal(read_features(tmp_path / "f.h5", ["half"], [4, 0, 4])["half"], everything[[4, 0, 4]])
    assert read_features(tmp_path / "f.h5", ["half"], [])["half"].shape == (0, 4, 4, 3)


def test_no_images_keep_the_layers_shapes(tmp_path, images):
    write(tmp_path / "f.h5", images[:0], resolution=8)
    assert read_features(tmp_path / "f.h5", ["half", "quarter"])["half"].shape == (0, 4, 4, 3)


class ElsewhereBackbone(TinyBackbone):
    """As a GPU's: it refuses images that are not on its own device. Its maps have no numbers, so they come as zeros."""

    def to(self, device):
        self.device = torch.device(device)
        return self

    def forward(self, images):
        assert images.device == self.device
        return {layer: torch.zeros_like(value, device="cpu") for layer, value in super().forward(images).items()}


@pytest.mark.parametrize("count", [0, 3])
def test_images_go_where_the_backbone_is_and_none_do_too(tmp_path, images, count):
    batches = [images[:count]] if count else []
    write_features(tmp_path / "f.h5", batches, count, ElsewhereBackbone(), {}, resolution=8, device="meta")
    assert read_features(tmp_path / "f.h5", ["half"])["half"].shape == (count, 4, 4, 3)


def test_an_unknown_layer_is_named(tmp_path, images):
    write(tmp_path / "f.h5", images)
    with pytest.raises(UserError, match="expected features of layer third"):
        read_features(tmp_path / "f.h5", ["third"])


def test_preparation_resizes_and_crops_the_centre():
    ramp = torch.arange(16.0).expand(1, 3, 16, 16) / 16
    assert prepare(ramp, None, None) is ramp
    torch.testing.assert_close(prepare(ramp, None, 8), ramp[..., 4:12, 4:12])
    assert prepare(ramp, 8, 4).shape == (1, 3, 4, 4)
    with pytest.raises(UserError, match="a crop of at most 8 pixels, found 9"):
        prepare(ramp, 8, 9)


def test_images_come_in_batches(tmp_path, images):
    with h5py.File(tmp_path / "i.h5", "w") as file:
        file["images"] = images
    batches = list(image_batches(tmp_path / "i.h5", 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), images)
    assert to_tensor(images[:1])[0, :, 2, 3].tolist() == pytest.approx((images[0, 2, 3] / 255).tolist())


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path, images):
    for name in ("float32", "float16"):
        write(tmp_path / f"{name}.h5", images, stored_as=name)
    whole, half = (read_features(tmp_path / f"{name}.h5", ["half", "quarter"]) for name in ("float32", "float16"))
    with h5py.File(tmp_path / "float16.h5") as file:
        assert file["half"].dtype == np.float16
    for layer, values in half.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, whole[layer].astype(np.float16).astype(np.float32))
    chosen = read_features(tmp_path / "float16.h5", ["half"], [3, 0, 3])["half"]
    assert chosen.dtype == np.float32
    np.testing.assert_array_equal(chosen, half["half"][[3, 0, 3]])
    write(tmp_path / "none.h5", images[:0], resolution=8, stored_as="float16")
    with h5py.File(tmp_path / "none.h5") as file:
        assert file["half"].dtype == np.float16 and file["half"].shape == (0, 4, 4, 3)


@pytest.mark.parametrize("known", ["", "d", "bd", "abcde"])
def test_the_bytes_of_a_file_do_not_tell_what_was_taken_over(tmp_path, images, known):
    """Otherwise a copy that was made anew after damage would be another file than the one that was lost."""
    names, made = list("abcde"), {"extractor": "tiny", "made_with": "this"}

    def stored(path, rows, computed, before=None):
        batches = (images[computed][start : start + 2] for start in range(0, len(computed), 2))
        contents = [names[row] for row in rows]
        write_features(path, batches, len(rows), TinyBackbone(), made, contents=contents, before=before)
        return path.read_bytes()

    whole = stored(tmp_path / "whole.h5", list(range(5)), list(range(5)))
    stored(tmp_path / "f.h5", [row for row in range(5) if names[row] in known], [names.index(one) for one in known])
    with RowsBefore(tmp_path / "f.h5", "this") as before:
        unknown = before.unknown(names)
        assert len(unknown) == 5 - len(known)
        assert stored(tmp_path / "f.h5", list(range(5)), unknown, before) == whole


def test_features_too_large_for_half_precision_are_refused(tmp_path, images, monkeypatch):
    forward = TinyBackbone.forward
    monkeypatch.setattr(
        TinyBackbone, "forward", lambda self, given: {name: 1e6 * maps for name, maps in forward(self, given).items()}
    )
    with pytest.raises(UserError, match=r"features of layer half up to 65504.0 for stored_as float16"):
        write(tmp_path / "f.h5", images, stored_as="float16")
    assert not (tmp_path / "f.h5").exists()
    write(tmp_path / "f.h5", images)


class SimulatedWay:
    """Stands for features on their way from a GPU; says when they are asked for."""

    events: list

    def __init__(self, backbone, images, stored):
        self.maps = {layer: values.astype("float32") for layer, values in feature_maps(backbone, images).items()}
        SimulatedWay.events.append("computed")

    def arrived(self):
        SimulatedWay.events.append("used")
        return self.maps


def test_a_gpu_computes_a_batch_while_the_one_before_is_written(tmp_path, images, monkeypatch):
    SimulatedWay.events = []
    write(tmp_path / "cpu.h5", images)
    monkeypatch.setattr("variad.networks.features.is_cuda", lambda device: True)
    monkeypatch.setattr("variad.networks.features.OnTheWay", SimulatedWay)
    write(tmp_path / "gpu.h5", images)
    assert SimulatedWay.events == ["computed", "computed", "used", "computed", "used", "used"]
    wanted, found = (read_features(tmp_path / f"{name}.h5", ["half"])["half"] for name in ("cpu", "gpu"))
    np.testing.assert_array_equal(found, wanted)


@pytest.fixture
def kept_images(tmp_path):
    """70 images, so three batches, the last of them not full."""
    images = np.random.default_rng(3).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "added.h5", "w") as file:
        file["images"] = images
    return tmp_path / "added.h5"


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("kept", [0, 2**30])
def test_features_on_demand_are_those_of_a_file_to_the_bit(kept_images, tmp_path, stored_as, kept, monkeypatch):
    monkeypatch.setattr(module, "KEPT", kept)
    write_features(
        tmp_path / "f.h5", image_batches(kept_images), 70, TinyBackbone(), {}, resolution=6, stored_as=stored_as
    )
    seen = []

    class Counting(TinyBackbone):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    on_demand = FeaturesOnDemand(kept_images, Counting, ["half"], 6, stored_as=stored_as)
    assert seen == []
    for rows in ([69, 3, 3, 40], range(20, 40), [], list(range(70))):
        found, expected = on_demand(rows), read_features(tmp_path / "f.h5", ["half"], list(rows))
        assert list(found) == ["half"] and found["half"].dtype == np.float32
        np.testing.assert_array_equal(found["half"], expected["half"])
    # whole batches, in each of which an image has the same neighbours; computed once where there is room
    assert seen == ([32, 32, 6] if kept else [32, 32, 6, 32, 32, 32, 32, 32, 6])


def test_features_on_demand_of_no_images_have_their_shape(tmp_path):
    with h5py.File(tmp_path / "added.h5", "w") as file:
        file["images"] = np.empty((0, 8, 8, 3), np.uint8)
    assert FeaturesOnDemand(tmp_path / "added.h5", TinyBackbone, ["quarter"], 8)([])["quarter"].shape == (0, 2, 2, 1)


def test_features_on_demand_that_float16_cannot_hold_are_refused(kept_images):
    class Loud(TinyBackbone):
        def forward(self, images):
            return {layer: maps * 1e6 for layer, maps in super().forward(images).items()}

    with pytest.raises(UserError, match="layer half up to 65504"):
        FeaturesOnDemand(kept_images, Loud, ["half"], stored_as="float16")([0])
