import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Tiles
from variad.networks import efficientnet_lite0 as lite0
from variad.networks.backbones import Lite0Backbone, load_backbone, rebuild_backbone, squares


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("efficientnet_lite0", ["stage5", "stage3"])


def test_layers_come_from_shallow_to_deep(backbone):
    features = backbone(torch.rand(2, 3, 64, 48))
    assert list(features) == backbone.layers == ["stage3", "stage5"]
    assert backbone.strides == {"stage3": 8, "stage5": 16}
    assert backbone.channels == {"stage3": 40, "stage5": 112}
    assert features["stage5"].shape == (2, 112, 4, 3)


def test_normalises_unit_range_itself(backbone):
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    direct = lite0.load_packaged().forward_stages(images * 2 - 1, ["stage3"])["stage3"]
    torch.testing.assert_close(backbone(images)["stage3"], direct, atol=1e-5 * float(direct.abs().max()), rtol=0)


def test_is_frozen_and_stays_in_evaluation_mode(backbone):
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    images = torch.rand(1, 3, 32, 32)
    before = backbone(images)["stage3"]
    backbone.train()
    assert torch.equal(backbone(images)["stage3"], before)


def test_images_get_a_gradient(backbone):
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    backbone(images)["stage5"].sum().backward()
    assert images.grad.abs().sum() > 0


def test_logits_name_a_class():
    logits = Lite0Backbone(["stage3"]).forward_logits(torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize("layers, message", [(["stage9"], "found 'stage9'"), ([], "found none")])
def test_unknown_layers(layers, message):
    with pytest.raises(UserError, match=message):
        load_backbone("efficientnet_lite0", layers)


def test_packaged_weights_cannot_be_replaced():
    with pytest.raises(UserError, match="expected no weights"):
        load_backbone("efficientnet_lite0", ["stage3"], weights="other.safetensors")


def test_needs_neither_timm_nor_torchvision():
    code = (
        "import sys; from variad.networks.backbones import load_backbone;"
        "load_backbone('efficientnet_lite0', ['stage3']);"
        "sys.exit(len({'timm', 'torchvision'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


@pytest.mark.slow
def test_unknown_backbone_names_close_ones():
    with pytest.raises(UserError, match=r"such as resnet18.*found 'resnet19'"):
        load_backbone("resnet19", ["layer2"])


@pytest.mark.slow
def test_a_backbone_of_timm_without_timm_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"backbone resnet18: expected the package timm, found no timm\."):
        rebuild_backbone("resnet18", ["layer2"], {}, "lid.variad")


def test_timm_from_a_local_file_equals_timm(tmp_path):
    import timm

    torch.manual_seed(0)
    whole = timm.create_model("resnet18.tv_in1k", pretrained=False).eval()
    path = tmp_path / "resnet18.safetensors"
    save_file(whole.state_dict(), path)
    backbone = load_backbone("resnet18.tv_in1k", ["layer3", "layer2"], weights=path)
    assert backbone.strides == {"layer2": 8, "layer3": 16}
    assert backbone.channels == {"layer2": 128, "layer3": 256}
    assert backbone.weights_sha256 == sha256(path)
    images = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    x = whole.layer2(whole.layer1(whole.maxpool(whole.act1(whole.bn1(whole.conv1(x))))))
    features = backbone(images)
    torch.testing.assert_close(features["layer2"], x)
    torch.testing.assert_close(features["layer3"], whole.layer3(x))


@pytest.mark.slow
@pytest.mark.parametrize("name, layers, found", [("resnet18.tv_in1k", ["layer9"], "layer9"), ("resnet18", [], "none")])
def test_timm_layers_are_checked_before_any_download(name, layers, found):
    with pytest.raises(UserError, match=f"layer1.*{found}"):
        load_backbone(name, layers)


@pytest.mark.slow
def test_missing_and_foreign_weight_files(tmp_path):
    with pytest.raises(UserError, match="expected a safetensors file"):
        load_backbone("resnet18.tv_in1k", ["layer2"], weights=tmp_path / "none.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"other": torch.zeros(1)}, foreign)
    with pytest.raises(UserError, match=r"foreign.safetensors: expected the weights of resnet18"):
        load_backbone("resnet18.tv_in1k", ["layer2"], weights=foreign)


@pytest.mark.slow
def test_offline_is_one_sentence(monkeypatch):
    import huggingface_hub

    def fail(*_: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(UserError, match="connect to the network or give a local safetensors file"):
        load_backbone("resnet18.tv_in1k", ["layer2"])


@pytest.mark.parametrize(
    ("side", "tiles", "expected"),
    [
        (224, Tiles(224, 32), [(0, (0, 224))]),
        (96, Tiles(224, 32), [(0, (0, 96))]),
        (384, Tiles(224, 64), [(0, (0, 192)), (160, (192, 384))]),
        (480, Tiles(224, 32), [(0, (0, 208)), (192, (208, 336)), (256, (336, 480))]),
        (256, Tiles(128, 0), [(0, (0, 128)), (128, (128, 256))]),
    ],
)
def test_squares_answer_for_every_pixel_once(side, tiles, expected):
    """By hand; the third row's last square starts where it ends with the side, and borders are multiples of 16."""
    assert squares(side, tiles, 16) == expected


def test_tiles_see_what_the_whole_image_shows():
    """Equal to the whole image where the overlap is wider than what a position sees."""
    images = torch.rand(2, 3, 160, 224, generator=torch.Generator().manual_seed(0))
    layers = ["stage2", "stage3"]
    whole = load_backbone("efficientnet_lite0", layers)(images)
    tiled = load_backbone("efficientnet_lite0", layers, tiles=Tiles(128, 96))(images)
    for layer in layers:
        assert tiled[layer].shape == whole[layer].shape
        torch.testing.assert_close(tiled[layer], whole[layer], rtol=1e-4, atol=1e-4)


def test_tiles_that_do_not_fit_are_said(tmp_path):
    with pytest.raises(UserError, match=r"multiples of 8 pixels .*found 100 and 32"):
        load_backbone("efficientnet_lite0", ["stage3"], tiles=Tiles(100, 32))
    tiled = load_backbone("efficientnet_lite0", ["stage3"], tiles=Tiles(64, 32))
    with pytest.raises(UserError, match=r"multiples of 8 pixels for tiles, found 100 x 96"):
        tiled(torch.zeros(1, 3, 100, 96))
