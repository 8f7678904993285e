import pytest
import torch

from variad.core.errors import UserError
from variad.networks import efficientnet_lite0 as lite0


@pytest.fixture(scope="module")
def reference():
    """timm's own network with the packaged weights."""
    timm = pytest.importorskip("timm")
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    packaged = torch.load(lite0.packaged_weights(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folded():
    return lite0.load_packaged()


@pytest.fixture(scope="module")
def unfolded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite0.ConvNorm, "fold", lambda self: None)
        return lite0.load_packaged()


def assert_near(found, wanted):
    """Up to what fifty layers in float32 may round, each in the processor's own order: 200 units in the last place."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5 * float(wanted.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("height, width", [(64, 64), (65, 97)])
def test_logits_equal_timm(reference, folded, unfolded, height, width):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert_near(folded(images), reference(images))
    assert_near(unfolded(images), reference(images))


@pytest.mark.slow
def test_stages_equal_timm(reference, unfolded):
    images = torch.rand(1, 3, 96, 80, generator=torch.Generator().manual_seed(1)) * 2 - 1
    stages = unfolded.forward_stages(images, lite0.STAGE_NAMES)
    x = reference.bn1(reference.conv_stem(images))
    for name, block in zip(lite0.STAGE_NAMES, reference.blocks, strict=True):
        x = block(x)
        assert_near(stages[name], x)


def test_only_wanted_stages_with_their_strides_and_channels(folded):
    images = torch.zeros(1, 3, 64, 96)
    stages = folded.forward_stages(images, ["stage3", "stage5"])
    assert list(stages) == ["stage3", "stage5"]
    assert stages["stage3"].shape == (1, 40, 8, 12)
    assert stages["stage5"].shape == (1, 112, 4, 6)
    assert dict(zip(lite0.STAGE_NAMES, (2, 4, 8, 16, 16, 32, 32), strict=True)) == lite0.STAGE_STRIDES


def test_folding_changes_nothing_but_rounding(folded, unfolded):
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert_near(folded(images), unfolded(images))


def test_same_padding_puts_the_odd_zero_at_the_end():
    convolution = lite0.SamePadConv(1, 1, 3, stride=2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    # Windows of rows and columns {0, 1, 2} and {2, 3, zero}.
    assert convolution(x).flatten().tolist() == [45.0, 39.0, 66.0, 50.0]


def test_other_weights_are_refused(tmp_path, monkeypatch):
    other = tmp_path / "weights.pth"
    other.write_bytes(b"not the weights")
    monkeypatch.setattr(lite0, "packaged_weights", lambda: other)
    with pytest.raises(UserError, match=r"weights.pth: expected sha256 5793"):
        lite0.load_packaged()
