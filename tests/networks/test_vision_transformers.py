"""Patch tokens of vision transformers: the right ones, at their places, from files under their published names."""

import pytest
import torch
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.networks.backbones import TimmBackbone, load_backbone

timm = pytest.importorskip("timm")

DINOV2, REGISTERS, DINOV3 = "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"
# patch, tokens that are no patches
NETWORKS = {DINOV2: (14, 1), REGISTERS: (14, 5), DINOV3: (16, 5)}
pytestmark = pytest.mark.slow  # each makes networks of 22 million parameters


@pytest.fixture(scope="module", params=NETWORKS)
def saved(request, tmp_path_factory):
    """(name, whole network of random weights, its file)."""
    return random_network(request.param, tmp_path_factory.mktemp("weights"))


def random_network(name, folder):
    """Biases and scales are random, too: with those that a network is made with, many mistakes change nothing."""
    generator = torch.Generator().manual_seed(0)
    whole = timm.create_model(name, pretrained=False, dynamic_img_size=True).eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.05 if parameter.ndim > 1 else 0.5))
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in whole.state_dict().items()}, path)
    return name, whole, path


def normalised(images):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def images(height, width, count=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_last_layer_is_the_networks_output_without_class_and_register_tokens(saved):
    name, whole, path = saved
    patch, prefix = NETWORKS[name]
    backbone = load_backbone(name, ["blocks.11"], path)
    assert backbone.strides == {"blocks.11": patch} and backbone.channels == {"blocks.11": 384}
    given = images(6 * patch, 4 * patch, 2)
    with torch.no_grad():
        tokens = whole.forward_features(normalised(given))  # behind the final norm
        found = backbone(given)["blocks.11"]
    assert tokens.shape == (2, prefix + 24, 384) and found.shape == (2, 384, 6, 4)
    for row, column in ((0, 0), (0, 3), (2, 1), (5, 3)):
        torch.testing.assert_close(found[:, :, row, column], tokens[:, prefix + 4 * row + column], rtol=1e-4, atol=1e-4)


def test_several_layers_equal_timms_own_and_are_normed(saved):
    name, whole, path = saved
    patch = NETWORKS[name][0]
    backbone = load_backbone(name, ["blocks.11", "blocks.2", "blocks.7"], path)
    assert backbone.layers == ["blocks.2", "blocks.7", "blocks.11"]
    given = images(4 * patch, 4 * patch)
    with torch.no_grad():
        _, expected = whole.forward_intermediates(normalised(given), indices=[2, 7, 11], norm=True)
        found = backbone(given)
    for maps, layer in zip(expected, backbone.layers, strict=True):
        torch.testing.assert_close(found[layer], maps, rtol=1e-4, atol=1e-4)
        plain = (
            found[layer].permute(0, 2, 3, 1) - whole.norm.bias
        ) / whole.norm.weight  # what the norm's own scale hides
        torch.testing.assert_close(plain.mean(dim=3), torch.zeros(1, 4, 4), rtol=0, atol=1e-3)


@pytest.mark.parametrize("side, grids", [(224, {14: 16, 16: 14}), (448, {14: 32, 16: 28})])
def test_grids_at_usual_resolutions(saved, side, grids):
    name, _, path = saved
    with torch.no_grad():
        found = load_backbone(name, ["blocks.0"], path)(images(side, side))
    grid = grids[NETWORKS[name][0]]
    assert found["blocks.0"].shape == (1, 384, grid, grid)


@pytest.mark.parametrize("row, column", [(0, 0), (1, 4), (3, 2)])
def test_a_change_in_one_patch_moves_its_own_place_most(saved, row, column):
    """Not square, so that rows and columns cannot be confused; an offset by a token would show as well."""
    name, _, path = saved
    patch = NETWORKS[name][0]
    given = images(4 * patch, 5 * patch)
    changed = given.clone()
    changed[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 0
    backbone = load_backbone(name, ["blocks.0"], path)
    with torch.no_grad():
        moved = (backbone(changed)["blocks.0"] - backbone(given)["blocks.0"]).norm(dim=1)[0]
    assert divmod(int(moved.argmax()), 5) == (row, column)


def test_position_embeddings_are_interpolated_to_the_grid(tmp_path):
    """A grid of embeddings that is a ramp over the columns is a ramp on any other grid, on its own grid exactly it."""
    name, whole, path = random_network(DINOV2, tmp_path)
    grid = whole.patch_embed.grid_size[0]
    with torch.no_grad():
        ramp = torch.linspace(-1, 1, grid).repeat(grid, 1).flatten()[:, None].expand(-1, 384)
        whole.pos_embed[0, 1:] = ramp
        whole.pos_embed[0, 0] = 100  # of the class token: must not leak into the grid
    save_file({key: value.contiguous() for key, value in whole.state_dict().items()}, path)
    network = load_backbone(name, ["blocks.0"], path).network
    with torch.no_grad():
        embedded = network._pos_embed(torch.zeros(1, 16, 12, 384))[:, 1:].reshape(16, 12, 384)
        own = network._pos_embed(torch.zeros(1, grid, grid, 384))[:, 1:].reshape(grid, grid, 384)
    torch.testing.assert_close(own[0, :, 0], torch.linspace(-1, 1, grid))
    torch.testing.assert_close(embedded, embedded[:1, :, :1].expand(16, 12, 384), rtol=0, atol=1e-5)
    assert (embedded[0, :, 0].diff() > 0).all()
    torch.testing.assert_close(embedded[0, :, 0], -embedded[0, :, 0].flip(0), rtol=0, atol=1e-5)
    # the middles of 12 equal parts of the ramp's length, away from the border
    middles = ((torch.arange(12) + 0.5) * grid / 12 - 0.5) * 2 / (grid - 1) - 1
    torch.testing.assert_close(embedded[0, 2:-2, 0], middles[2:-2], rtol=0, atol=5e-3)


def as_meta_names_them(name, state):
    """The same weights under the names of Meta's own files, with what only pretraining uses."""
    if name == DINOV3:
        renamed = {
            key.replace("reg_token", "storage_tokens")
            .replace("gamma_1", "ls1.gamma")
            .replace("gamma_2", "ls2.gamma"): value
            for key, value in state.items()
        }
        # the distilled networks' biases are all zero and masked: timm's has none
        unused = {
            f"blocks.{block}.attn.qkv.{key}": torch.zeros(1152) for block in range(12) for key in ("bias", "bias_mask")
        }
        return {**renamed, **unused, "mask_token": torch.ones(1, 384), "rope_embed.periods": torch.ones(16)}
    renamed = dict(state)
    if name == REGISTERS:  # theirs have a position of the class token, 0 here; registers have none
        renamed["register_tokens"] = renamed.pop("reg_token")
        renamed["pos_embed"] = torch.cat([torch.zeros(1, 1, 384), renamed["pos_embed"]], dim=1)
    return {**renamed, "mask_token": torch.ones(1, 384)}


def test_files_under_metas_own_names_load_to_the_same_features(saved, tmp_path):
    name, whole, path = saved
    theirs = tmp_path / "meta.safetensors"
    save_file({key: value.contiguous() for key, value in as_meta_names_them(name, whole.state_dict()).items()}, theirs)
    given = images(112, 112)
    with torch.no_grad():
        found, expected = (load_backbone(name, ["blocks.3"], file)(given)["blocks.3"] for file in (theirs, path))
    torch.testing.assert_close(found, expected)


def test_a_tag_changes_no_weights_of_a_local_file(tmp_path):
    name, _, path = random_network(DINOV2, tmp_path)
    given = images(56, 56)
    with torch.no_grad():
        found = load_backbone(f"{name}.lvd142m", ["blocks.1"], path)(given)["blocks.1"]
        assert torch.equal(found, load_backbone(name, ["blocks.1"], path)(given)["blocks.1"])


def test_other_networks_files_are_refused(tmp_path):
    _, _, path = random_network(REGISTERS, tmp_path)
    with pytest.raises(UserError, match=rf"{REGISTERS}.safetensors: expected the weights of {DINOV2}"):
        load_backbone(DINOV2, ["blocks.11"], path)


def test_sides_that_are_no_multiple_of_a_patch_are_refused(tmp_path):
    name, _, path = random_network(DINOV2, tmp_path)
    backbone = load_backbone(name, ["blocks.11"], path)
    with pytest.raises(UserError, match=r"multiples of its patches of 14 pixels, such as 252 or 266, found 256 x 224"):
        backbone(images(256, 224))


def test_networks_that_are_no_transformers_are_as_they_were(tmp_path):
    whole = timm.create_model("resnet18", pretrained=False)
    path = tmp_path / "resnet18.safetensors"
    save_file(whole.state_dict(), path)
    backbone = load_backbone("resnet18", ["layer2"], path)
    assert isinstance(backbone, TimmBackbone) and not backbone.transformer
    assert backbone(images(100, 60))["layer2"].shape == (1, 128, 13, 8)
