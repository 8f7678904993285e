"""The network of LPIPS (Zhang et al. 2018): AlexNet from a local file, its linear heads from torchmetrics."""

from pathlib import Path

from torch import nn

# the public functions fetch the backbone on their own and read it as a pickle
from torchmetrics.functional.image.lpips import _NoTrainLpips

from variad.errors import UserError
from variad.files import sha256
from variad.metrics.lpips_weights import ALEXNET_SHA256
from variad.models.weights import fill, load_checkpoint

FEATURES = "features."


def load_lpips(path: str | Path, expected_sha256: str = ALEXNET_SHA256) -> nn.Module:
    """LPIPS with the backbone AlexNet, for images ``[N, 3, H, W]`` in [0, 1] with ``normalize=True``.

    Args:
        path: torchvision's AlexNet trained on ImageNet.
        expected_sha256: how the file's SHA-256 begins.

    Raises:
        UserError: the file is missing, is another one, or does not hold AlexNet's weights.
    """
    state = load_checkpoint(path)
    found = sha256(path)
    if not found.startswith(expected_sha256):
        raise UserError(f"{path}: expected a file whose sha256 begins with {expected_sha256}, found {found}.")
    net: nn.Module = _NoTrainLpips(net="alex", pnet_rand=True)
    convolutions = {name.removeprefix(FEATURES): value for name, value in state.items() if name.startswith(FEATURES)}
    slices = [part for name, part in net.net.named_children() if name.startswith("slice")]  # type: ignore[union-attr]
    # each slice keeps the numbers that its layers have in torchvision's network
    layers = nn.ModuleDict({name: layer for part in slices for name, layer in part.named_children()})
    fill(layers, convolutions, path)
    return net
