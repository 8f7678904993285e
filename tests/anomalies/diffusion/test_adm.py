"""ADM: official weights in diffusers' network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.anomalies.diffusion.official_adm import OfficialUNet
from tests.memory import measured
from variad.core.errors import UserError
from variad.networks.adm import AdmConfig, build_adm, load_adm, official_names

SMALL = AdmConfig(resolution=32, width=16, multiples=(1, 2, 2), attention=(16, 8), head=8, groups=4)


def _official(config: AdmConfig) -> OfficialUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = OfficialUNet(config).eval()
        for parameter in network.parameters():  # norms and biases start at trivial values
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def _saved(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize("config", [SMALL, AdmConfig(16, 8, (1, 1, 2, 2), 1, (8, 4, 2), 4, 2)])
def test_converted_weights_compute_what_the_official_network_does(config: AdmConfig, tmp_path: Path) -> None:
    official = _official(config)
    unet = load_adm(_saved(tmp_path / "adm.pt", official.state_dict()), config=config).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, config.resolution, config.resolution, generator=generator)
    times = torch.tensor([3, 870])
    with torch.no_grad():
        wanted = official(x, times)
        found = unet(x, times).sample
    assert found.shape == (2, 6, config.resolution, config.resolution)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_full_architecture_has_the_names_of_the_official_checkpoint() -> None:
    config = AdmConfig()
    with torch.device("meta"):
        unet, official = build_adm(config), OfficialUNet(config)
    names = official_names(config.attends, config.layers, list(unet.state_dict()))
    assert set(names) == set(official.state_dict())
    targets = [target for shared in names.values() for target in shared]
    assert sorted(targets) == sorted(unet.state_dict())
    # 552.8 million parameters: the published number
    assert sum(parameter.numel() for parameter in unet.parameters()) == 552_814_086
    assert names["input_blocks.10.1.qkv.weight"][0] == "down_blocks.3.attentions.0.to_q.weight"


def test_wrong_keys_and_shapes_are_one_sentence(tmp_path: Path) -> None:
    state = _official(SMALL).state_dict()
    renamed = {key.replace("middle_block", "center"): tensor for key, tensor in state.items()}
    path = _saved(tmp_path / "renamed.pt", renamed)
    sentence = r"renamed.pt: expected the weights of ADM, found wrong keys: (\S+ \(unknown\)(, )?){3}\.$"
    with pytest.raises(UserError, match=sentence):
        load_adm(path, config=SMALL)
    state["middle_block.1.qkv.weight"] = torch.zeros(9, 32, 1)
    with pytest.raises(UserError, match=r"middle_block.1.qkv.weight: expected shape \[32, 32\], found \[9, 32\]"):
        load_adm(_saved(tmp_path / "shape.pt", state), config=SMALL)
    with pytest.raises(UserError, match=r"none\.pt: expected a file of weights, found no such file"):
        load_adm(tmp_path / "none.pt")


FULL = """
import torch
from variad.networks.adm import AdmConfig, build_adm
from variad.anomalies.ddim import generate
from variad.networks.diffusion_models import DiffusionModel
from variad.networks.diffusion_models import linear_alphas_cumprod
torch.manual_seed(0)
model = DiffusionModel(build_adm().eval().requires_grad_(False), linear_alphas_cumprod(), 256, precision="bfloat16")
found = generate(model, torch.randn(2, 3, 256, 256), 5)
result = [list(found.shape), bool(found.isfinite().all())]
"""


@pytest.mark.slow
def test_two_images_in_five_steps_of_the_full_architecture_fit_into_12_gib() -> None:
    result, peak = measured(FULL)
    assert result == [[2, 3, 256, 256], True]
    assert peak < 12
