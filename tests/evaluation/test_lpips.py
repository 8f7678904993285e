"""LPIPS with a backbone from a local file, and where that file is looked for."""

import hashlib

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

from variad.core.errors import UserError
from variad.downloads.catalogue import ALEXNET_FILE, find_lpips_backbone, hub_folder
from variad.evaluation.image_quality import compare_images, load_lpips


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache of torch.hub with an AlexNet of random weights in torchvision's layout."""
    from torchvision.models import alexnet

    folder = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    state = alexnet(weights=None).state_dict()
    # LPIPS leaves the classifier alone: one number in place of each of its matrices keeps the file small
    small = {name: value.flatten()[:1].clone().expand(value.shape) for name, value in state.items()}
    state |= {name: value for name, value in small.items() if name.startswith("classifier")}
    torch.save(state, folder / ALEXNET_FILE)
    return folder.parents[1]


@pytest.fixture(scope="module")
def backbone(home):
    return home / "hub" / "checkpoints" / ALEXNET_FILE


@pytest.fixture
def pair():
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    return images, images[::-1].copy()


def beginning(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def test_it_is_the_librarys(home, backbone, pair, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(home))
    found = compare_images(*pair, load_lpips(backbone, beginning(backbone)))["lpips"]
    tensors = [torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 for images in pair]
    expected = learned_perceptual_image_patch_similarity(*tensors, net_type="alex", reduction="none", normalize=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0] > 0 and found[1] == 0  # the second image is its own parent


def test_one_image_gives_one_value(backbone, pair):
    lpips = load_lpips(backbone, beginning(backbone))
    single = compare_images(pair[0][:1], pair[1][:1], lpips)["lpips"]
    np.testing.assert_allclose(single, compare_images(*pair, lpips)["lpips"][:1], rtol=1e-5)


def test_another_file_of_that_name_is_refused(backbone):
    with pytest.raises(UserError, match="expected a file whose sha256 begins with 7be5be79, found"):
        load_lpips(backbone)


def test_a_file_without_the_layers_is_refused(tmp_path):
    path = tmp_path / ALEXNET_FILE
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, path)
    with pytest.raises(UserError, match=r"wrong keys: 0\.bias \(missing\)"):
        load_lpips(path, beginning(path))


def test_weights_are_looked_for_beside_the_project_first_then_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert hub_folder() == tmp_path / "torch/hub/checkpoints"
    assert find_lpips_backbone(tmp_path) is None
    for folder in (hub_folder(), tmp_path):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ALEXNET_FILE).touch()
        assert find_lpips_backbone(tmp_path) == str(folder / ALEXNET_FILE)


def test_the_cache_is_where_torch_has_it(tmp_path, monkeypatch):
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert str(hub_folder()) == f"{torch.hub.get_dir()}/checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert str(hub_folder()) == f"{torch.hub.get_dir()}/checkpoints"
