"""Patch description networks: their geometry, their weights, and the backbone that they are."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.networks.backbones import load_backbone
from variad.networks.pdn import (
    BORDER,
    NETWORKS,
    PDN,
    RECEPTIVE_FIELD,
    STRIDE,
    PDNConfig,
    load_pdn,
    output_side,
    standardised,
)
from variad.networks.weights import load_weights, save_weights

NARROW = PDNConfig("small", 1 / 16)


def weights(name: str) -> dict[str, torch.Tensor]:
    """In the layout of the published files."""
    small = {"conv1": (128, 3, 4), "conv2": (256, 128, 4), "conv3": (256, 256, 3), "conv4": (384, 256, 4)}
    medium = {
        "conv1": (256, 3, 4),
        "conv2": (512, 256, 4),
        "conv3": (512, 512, 1),
        "conv4": (512, 512, 3),
        "conv5": (384, 512, 4),
        "conv6": (384, 384, 1),
    }
    state = {}
    for layer, (outputs, inputs, kernel) in (small if name == "pdn_small" else medium).items():
        state[f"{layer}.weight"] = torch.full((outputs, inputs, kernel, kernel), 1e-3)
        state[f"{layer}.bias"] = torch.zeros(outputs)
    return state


@pytest.mark.parametrize("side", [64, 65, 66, 67, 112, 128, 224, 256])
@pytest.mark.parametrize("size", ["small", "medium"])
def test_output_side(side: int, size: str) -> None:
    found = PDN(PDNConfig(size, 1 / 128), outputs=1)(torch.zeros(1, 3, side, side))
    assert found.shape[2:] == (output_side(side),) * 2
    assert output_side(side) + 2 * BORDER == -(-side // STRIDE)


@pytest.mark.parametrize("size", ["small", "medium"])
def test_receptive_field(size: str) -> None:
    network = PDN(PDNConfig(size, 1 / 16)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()  # so that nothing cancels, and no activation is zero
    image = torch.rand(1, 3, 80, 80, dtype=torch.float64, requires_grad=True)
    row, column = 3, 5
    network(image)[0, 0, row, column].backward()
    rows, columns = (image.grad[0].abs().sum(0).sum(axis).nonzero().flatten() for axis in (1, 0))
    for found, position in ((rows, row), (columns, column)):
        assert found.tolist() == list(range(STRIDE * position, STRIDE * position + RECEPTIVE_FIELD))


def test_small_network_equals_plain_layers() -> None:
    network = PDN(NARROW)
    plain = nn.Sequential(
        *(nn.Conv2d(3, 8, 4), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 16, 4), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 24, 4)),
    )
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values(), strict=True)))
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), plain(images))
    torch.testing.assert_close(network.head(network.trunk(images)), plain(images))


@pytest.mark.parametrize("name", ["pdn_small", "pdn_medium"])
def test_published_layout_loads(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"pretrained_teacher_{name}.pth"
    torch.save(weights(name), path)
    backbone = load_backbone(name, ["features"], path)
    assert backbone.layers == ["features"] and backbone.strides == {"features": 4}
    assert backbone.channels == {"features": 384}
    # constant weights and a grey image: each layer multiplies by its number of inputs, and the first standardises
    level = float(standardised(torch.ones(1, 3, 1, 1)).sum()) * 16e-3
    inputs = {"pdn_small": (128 * 16, 256 * 9, 256 * 16), "pdn_medium": (256 * 16, 512, 512 * 9, 512 * 16, 384)}
    for count in inputs[name]:
        level *= count * 1e-3
    found = backbone(torch.ones(1, 3, 40, 40))["features"]
    rtol = sum(inputs[name]) * 2.0**-24  # the bound of rounding for sums of so many equal terms
    torch.testing.assert_close(found, torch.full((1, 384, 2, 2), level), rtol=rtol, atol=0)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    torch.save(weights("pdn_medium"), tmp_path / "medium.pth")
    wrong = r"conv5.bias \(unknown\), conv5.weight \(unknown\), conv6.bias \(unknown\)\."
    with pytest.raises(UserError, match=rf"medium.pth: expected the weights of PDN, found wrong keys: {wrong}"):
        load_pdn(tmp_path / "medium.pth", "pdn_small")
    save_weights(tmp_path / "tiny.safetensors", PDN(NETWORKS["pdn_tiny"]).state_dict(), {})
    with pytest.raises(
        UserError, match=r"tiny.safetensors: conv1.weight: expected shape \[128, 3, 4, 4\], found \[32, 3, 4, 4\]"
    ):
        load_pdn(tmp_path / "tiny.safetensors", "pdn_small")
    with pytest.raises(UserError, match=r"backbone pdn_tiny: expected a local file of weights, found none"):
        load_backbone("pdn_tiny", ["features"])
    with pytest.raises(UserError, match=r"backbone pdn_tiny: expected layers of features, found 'layer2'"):
        load_backbone("pdn_tiny", ["layer2"], tmp_path / "tiny.safetensors")


def test_half_precision_file_and_its_config(tmp_path: Path) -> None:
    network = PDN(NETWORKS["pdn_tiny"])
    save_weights(tmp_path / "tiny.safetensors", network.state_dict(), asdict(network.config))
    assert load_weights(tmp_path / "tiny.safetensors")[1] == {"architecture": "pdn", "size": "small", "width": 0.25}
    loaded = load_pdn(tmp_path / "tiny.safetensors", "pdn_tiny")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded(images), network(images), atol=1e-3, rtol=1e-2)
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("name", ["pdn_tiny", "pdn_small"])
def test_shipped_teachers_load(name: str) -> None:
    backbone = load_backbone(name, ["features"], f"resources/{name}/model.safetensors")
    found = backbone(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))["features"]
    assert found.shape == (1, NETWORKS[name].channels, 8, 8)
    assert 0.05 < float(found.std()) < 3  # its target's channels have a standard deviation of 1
