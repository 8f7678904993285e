"""Frozen networks that turn images into patch features, behind one call."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.networks import efficientnet_lite0 as lite0
from variad.networks import pdn

LITE0 = "efficientnet_lite0"
PDN_LAYER = "features"
HUB_FILE = "model.safetensors"


class Backbone(nn.Module):
    """A frozen network in evaluation mode that normalises its input itself.

    Attributes:
        name: the name it was loaded by.
        layers: names of the layers that it returns, from shallow to deep.
        strides: pixels of the input a position, by layer.
        channels: by layer.
        weights_sha256: hash of the weight file.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        layers: Sequence[str],
        strides: Mapping[str, int],
        channels: Mapping[str, int],
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.name = name
        self.layers = [layer for layer in strides if layer in layers]
        self.strides = {layer: strides[layer] for layer in self.layers}
        self.channels = {layer: channels[layer] for layer in self.layers}
        self.weights_sha256 = weights_sha256
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode: a frozen network's running statistics must not move."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Feature maps ``[B, C, h, w]`` by layer, of RGB images ``[B, 3, H, W]`` in [0, 1]."""
        return self._features((images - self.mean) / self.std)

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


class Lite0Backbone(Backbone):
    """EfficientNet-Lite0 with packaged ImageNet weights; layers ``stage1`` to ``stage7``."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__(
            LITE0,
            layers,
            lite0.stage_strides(),
            lite0.stage_channels(),
            lite0.PACKAGED_SHA256,
            mean=[lite0.MEAN] * 3,
            std=[lite0.STD] * 3,
        )
        self.network = lite0.load_packaged().freeze()

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return self.network.forward_stages(normalised, self.layers)

    def forward_logits(self, images: Tensor) -> Tensor:
        """ImageNet logits ``[B, 1000]`` of RGB images ``[B, 3, H, W]`` in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


class PdnBackbone(Backbone):
    """A patch description network with the weights of a local file; its one layer is ``features``."""

    def __init__(self, name: str, layers: Sequence[str], weights: str | Path | None) -> None:
        _check_layers(name, layers, [PDN_LAYER])
        if weights is None:
            raise UserError(f"backbone {name}: expected a local file of weights, found none; give one as weights.")
        network = pdn.load_pdn(weights, name)
        channels = network.config.channels
        super().__init__(
            name, layers, {PDN_LAYER: pdn.STRIDE}, {PDN_LAYER: channels}, sha256(weights), mean=pdn.MEAN, std=pdn.STD
        )
        self.network = network

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return {PDN_LAYER: self.network(normalised.contiguous(memory_format=torch.channels_last))}


class TimmBackbone(Backbone):
    """Any timm model that can return features; layers by timm's module names, such as ``layer2``."""

    def __init__(self, name: str, layers: Sequence[str], weights: str | Path | None) -> None:
        import timm

        known = _timm_layers(name)
        _check_layers(name, layers, known)
        path = weights_file(name, weights)
        configuration = timm.get_pretrained_cfg(name)
        super().__init__(
            name,
            layers,
            {layer: entry["reduction"] for layer, entry in known.items()},
            {layer: entry["num_chs"] for layer, entry in known.items()},
            sha256(path),
            mean=configuration.mean,
            std=configuration.std,
        )
        self.network = _load_timm(name, path, [list(known).index(layer) for layer in self.layers])

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.layers, self.network(normalised), strict=True))


def load_backbone(name: str, layers: Sequence[str], weights: str | Path | None = None) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: ``efficientnet_lite0`` (packaged weights), one of ``pdn.NETWORKS``, or any timm model's name, with its tag
            to pin the weights (``resnet18.tv_in1k``).
        layers: names of the layers to return.
        weights: a local file for a PDN; a local safetensors file for a timm model, downloaded if not given.

    Raises:
        UserError: unknown backbone or layer, or weights that cannot be had.
    """
    if name in pdn.NETWORKS:
        return PdnBackbone(name, layers, weights)
    if name != LITE0:
        _check_timm_name(name)
        return TimmBackbone(name, layers, weights)
    if weights is not None:
        raise UserError(f"backbone {LITE0}: expected no weights (they come with a package), found {weights}.")
    _check_layers(name, layers, lite0.stage_names())
    return Lite0Backbone(layers)


def _check_layers(name: str, layers: Sequence[str], known: Collection[str]) -> None:
    if not layers:
        raise UserError(f"backbone {name}: expected at least one layer of {', '.join(known)}, found none.")
    for layer in layers:
        if layer not in known:
            raise UserError(f"backbone {name}: expected layers of {', '.join(known)}, found '{layer}'.")


def _check_timm_name(name: str) -> None:
    import timm

    known = [LITE0, *pdn.NETWORKS, *timm.list_models(), *timm.list_pretrained()]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" such as {', '.join(close)}" if close else ""
        raise UserError(
            f"backbone: expected {LITE0}, {', '.join(pdn.NETWORKS)} or a timm model's name{hint}, found '{name}'."
        )


def _timm_layers(name: str) -> dict[str, dict[str, Any]]:
    import timm

    try:
        described = timm.create_model(name, pretrained=False, features_only=True).feature_info.info
    except (RuntimeError, AttributeError) as error:
        raise UserError(f"backbone {name}: expected a model that returns features, found: {error}.") from error
    return {entry["module"]: entry for entry in described}


def weights_file(name: str, weights: str | Path | None) -> Path:
    """The safetensors file of a timm model: the one given, or the hub's, downloaded.

    Raises:
        UserError: the file is missing, or nothing can be downloaded.
    """
    if weights is None:
        return _download(name)
    if not Path(weights).is_file() or Path(weights).suffix != ".safetensors":
        raise UserError(f"{weights}: expected a safetensors file with the weights of {name}, found none.")
    return Path(weights)


def _download(name: str) -> Path:
    import timm
    from huggingface_hub import hf_hub_download

    configuration = timm.get_pretrained_cfg(name)
    if configuration is None or not configuration.hf_hub_id:
        raise UserError(f"backbone {name}: expected a model with published weights, found none; give a local file.")
    try:
        return Path(hf_hub_download(configuration.hf_hub_id, HUB_FILE))
    except Exception as error:  # the hub client raises a dozen unrelated types for one cause: no file
        raise UserError(
            f"backbone {name}: expected to download its weights, found no way to ({type(error).__name__}); "
            "connect to the network or give a local safetensors file as weights."
        ) from error


def _load_timm(name: str, weights: Path, indices: list[int]) -> nn.Module:
    import timm

    source: dict[str, Any] = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    try:
        # Only the whole model is loaded strictly: the feature extractor would keep random values without a word.
        timm.create_model(name, **source)
        network: nn.Module = timm.create_model(name, **source, features_only=True, out_indices=indices)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{weights}: expected the weights of {name}, found another file's: {reason}") from error
    return network.eval().requires_grad_(False)
