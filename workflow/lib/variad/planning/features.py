"""Sizes of feature maps, which decide what a memory bank costs and how much disk features take."""

from collections.abc import Mapping, Sequence
from typing import Any

_BOTTLENECK = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 16), "layer4": (2048, 32)}
# channels and stride of the layers of the networks that the configs name
LAYERS = {
    "efficientnet_lite0": {"stage3": (40, 8), "stage5": (112, 16), "stage7": (320, 32)},
    "resnet18": {"layer1": (64, 4), "layer2": (128, 8), "layer3": (256, 16), "layer4": (512, 32)},
    "resnet50": _BOTTLENECK,
    "wide_resnet50_2": _BOTTLENECK,
}
PDN_CHANNELS = {"pdn_tiny": 96, "pdn_small": 384, "pdn_medium": 384}


def layer_shapes(extractor: Mapping[str, Any], layers: Sequence[str] | None = None) -> list[tuple[int, int]] | None:
    """(channels, side) of each layer's map; None for a network that is not listed here.

    Args:
        extractor: entry of the config with ``side``, pixels.
        layers: those of the extractor's layers that are wanted; None is all.
    """
    wanted = layers or extractor["layers"]
    network = str(extractor["backbone"]).partition(".")[0]
    if network in PDN_CHANNELS:  # without padding: a quarter of the image, less eight positions
        return [(PDN_CHANNELS[network], -(-extractor["side"] // 4) - 8) for _ in wanted]
    known = LAYERS.get(network, {})
    if any(layer not in known for layer in wanted):
        return None
    return [(known[layer][0], -(-extractor["side"] // known[layer][1])) for layer in wanted]


def bytes_an_image(extractor: Mapping[str, Any]) -> int | None:
    """Of one image's features on disk, float32; None for a network that is not listed here."""
    shapes = layer_shapes(extractor)
    return sum(channels * side * side * 4 for channels, side in shapes) if shapes else None
