"""Frozen networks that turn images into patch features, behind one call.

EfficientNet-Lite0 comes with a package, patch description networks from a local file, and any timm model that can
return features from a local file or the hub.
"""

import difflib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.images import Tiles
from variad.networks import efficientnet_lite0 as lite0
from variad.networks import pdn
from variad.networks.weights import fill

LITE0 = "efficientnet_lite0"
PDN_LAYER = "features"
HUB_FILE = "model.safetensors"


def load_backbone(
    name: str, layers: Sequence[str], weights: str | Path | None = None, tiles: Tiles | None = None
) -> "Backbone":
    """Load a frozen backbone.

    Args:
        name: ``efficientnet_lite0`` (packaged weights), one of ``pdn.NETWORKS``, or any timm model's name, with its tag
            to pin the weights (``resnet18.tv_in1k``).
        layers: names of the layers to return.
        weights: a local file for a PDN; a local safetensors file for a timm model, downloaded if not given.
        tiles: squares in which it sees an image; None is the image as a whole.

    Raises:
        UserError: unknown backbone or layer, weights that cannot be had, or tiles that do not fit the network.
    """
    whole = _load_whole(name, layers, weights)
    return whole if tiles is None else TiledBackbone(whole, tiles)


def _load_whole(name: str, layers: Sequence[str], weights: "str | Path | Held | None") -> "Backbone":
    if name in pdn.NETWORKS:
        return PdnBackbone(name, layers, weights)
    if name != LITE0:
        return TimmBackbone(name, layers, weights)
    if isinstance(weights, Held):
        return Lite0Backbone(layers, weights)
    if weights is not None:
        raise UserError(f"backbone {LITE0}: expected no weights (they come with a package), found {weights}.")
    return Lite0Backbone(layers)


def rebuild_backbone(
    name: str,
    layers: Sequence[str],
    tensors: Mapping[str, Tensor],
    source: str | Path,
    tiles: Tiles | None = None,
) -> "Backbone":
    """A frozen backbone of what ``Backbone.tensors`` gave for the same layers: nothing is read, found or downloaded.

    Args:
        source: where the tensors are from, for the message.

    Raises:
        UserError: unknown backbone or layer, or other tensors than that backbone's.
    """
    whole = _load_whole(name, layers, Held(tensors, source))
    return whole if tiles is None else TiledBackbone(whole, tiles)


class Held(NamedTuple):
    """Weights that lie in memory, and where they are from."""

    tensors: Mapping[str, Tensor]
    source: str | Path


class Backbone(nn.Module):
    """A frozen network in evaluation mode that normalises its input itself.

    Attributes:
        name: the name it was loaded by.
        layers: names of the layers that it returns, from shallow to deep.
        strides: pixels of the input a position, by layer.
        channels: by layer.
        weights_sha256: hash of the weight file; empty for a rebuilt one.
    """

    mean: Tensor
    std: Tensor
    network: Any
    weights_sha256: str = ""

    def __init__(
        self,
        name: str,
        layers: Sequence[str],
        strides: Mapping[str, int],
        channels: Mapping[str, int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        """
        Args:
            layers: the wanted ones of those that ``strides`` and ``channels`` describe.
            mean, std: of the input's channels.

        Raises:
            UserError: no layers, or one that does not exist.
        """
        super().__init__()
        if not layers:
            raise UserError(f"backbone {name}: expected at least one layer of {', '.join(strides)}, found none.")
        for layer in layers:
            if layer not in strides:
                raise UserError(f"backbone {name}: expected layers of {', '.join(strides)}, found '{layer}'.")
        self.name = name
        self.layers = [layer for layer in strides if layer in layers]
        self.strides = {layer: strides[layer] for layer in self.layers}
        self.channels = {layer: channels[layer] for layer in self.layers}
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode: a frozen network's running statistics must not move."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Feature maps ``[B, C, h, w]`` by layer, of RGB images ``[B, 3, H, W]`` in [0, 1]."""
        return self.of_normalised((images - self.mean) / self.std)

    def of_normalised(self, images: Tensor) -> dict[str, Tensor]:
        """The same of images that are normalised already."""
        return self._features(images)

    def tensors(self) -> dict[str, Tensor]:
        """What ``rebuild_backbone`` needs for the layers that this one returns."""
        return dict(self.network.state_dict())

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


class Lite0Backbone(Backbone):
    """EfficientNet-Lite0 with packaged ImageNet weights; layers ``stage1`` to ``stage7``."""

    network: lite0.EfficientNetLite0

    def __init__(self, layers: Sequence[str], weights: Held | None = None) -> None:
        mean, std = [lite0.MEAN] * 3, [lite0.STD] * 3
        super().__init__(LITE0, layers, lite0.STAGE_STRIDES, lite0.STAGE_CHANNELS, mean, std)
        if weights is None:
            self.network, self.weights_sha256 = lite0.load_packaged().freeze(), lite0.PACKAGED_SHA256
        else:
            self.network = lite0.rebuilt(weights.tensors, self.layers[-1], weights.source)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing that lies behind the last layer."""
        return lite0.tensors_until(self.network, self.layers[-1])

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return self.network.forward_stages(normalised, self.layers)

    def forward_logits(self, images: Tensor) -> Tensor:
        """ImageNet logits ``[B, 1000]`` of RGB images ``[B, 3, H, W]`` in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


class PdnBackbone(Backbone):
    """A patch description network with the weights of a local file; its one layer is ``features``."""

    def __init__(self, name: str, layers: Sequence[str], weights: str | Path | Held | None) -> None:
        channels = pdn.NETWORKS[name].channels
        super().__init__(name, layers, {PDN_LAYER: pdn.STRIDE}, {PDN_LAYER: channels}, pdn.MEAN, pdn.STD)
        if weights is None:
            raise UserError(f"backbone {name}: expected a local file of weights, found none; give one as weights.")
        if isinstance(weights, Held):
            self.network = pdn.frozen_pdn(weights.tensors, name, weights.source)
        else:
            self.network, self.weights_sha256 = pdn.load_pdn(weights, name), sha256(weights)

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return {PDN_LAYER: self.network(normalised.contiguous(memory_format=torch.channels_last))}


class TimmBackbone(Backbone):
    """Any timm model that can return features; layers by timm's module names, such as ``layer2`` or ``blocks.11``.

    Of a vision transformer a layer is the grid of patch tokens behind a block, without class and register tokens, each
    brought through the network's final layer norm (as DINOv2's own ``get_intermediate_layers`` and AnomalyDINO do).
    It takes images of any size that is a multiple of its patches: position embeddings are interpolated (bicubic,
    antialiased), rotary ones computed for the grid.
    """

    def __init__(self, name: str, layers: Sequence[str], weights: str | Path | Held | None) -> None:
        try:
            import timm
        except ImportError as error:  # which the inspector alone does without
            raise UserError(f"backbone {name}: expected the package timm, found no {error.name}.") from error

        known = [LITE0, *pdn.NETWORKS, *timm.list_models(), *timm.list_pretrained()]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f" such as {', '.join(close)}" if close else ""
            raise UserError(
                f"backbone: expected {LITE0}, {', '.join(pdn.NETWORKS)} or a timm model's name{hint}, found '{name}'."
            )
        try:
            described = timm.create_model(name, pretrained=False, features_only=True)
        except (RuntimeError, AttributeError) as error:
            raise UserError(f"backbone {name}: expected a model that returns features, found: {error}.") from error
        strides = {entry["module"]: entry["reduction"] for entry in described.feature_info.info}
        channels = {entry["module"]: entry["num_chs"] for entry in described.feature_info.info}
        configuration = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        super().__init__(name, layers, strides, channels, configuration.mean, configuration.std)
        self.transformer = _is_vision_transformer(getattr(described, "model", None))
        self.places = [list(strides).index(layer) for layer in self.layers]
        options: dict[str, Any] = {"dynamic_img_size": True} if self.transformer else {}
        features = {} if self.transformer else {"features_only": True, "out_indices": self.places}
        if isinstance(weights, Held):
            network = timm.create_model(name, pretrained=False, **options, **features)
            fill(network, dict(weights.tensors), weights.source)
        else:
            path = weights_file(name, weights)
            self.weights_sha256 = sha256(path)
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
            try:
                # Only the whole model is loaded strictly: the feature extractor would keep random values without a word
                network = timm.create_model(name, **options)
                network = timm.create_model(name, **options, **features) if features else network
            except (RuntimeError, OSError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{path}: expected the weights of {name}, found another file's: {reason}") from error
        self.network = network.eval().requires_grad_(False)

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.layers, self._maps(normalised), strict=True))

    def _maps(self, normalised: Tensor) -> Sequence[Tensor]:
        maps: Sequence[Tensor]
        if not self.transformer:
            maps = self.network(normalised)
            return maps
        height, width = normalised.shape[-2:]
        patch = next(iter(self.strides.values()))
        if height % patch or width % patch:
            below = max(patch, height // patch * patch)
            raise UserError(
                f"backbone {self.name}: expected images whose sides are multiples of its patches of {patch} pixels, "
                f"such as {below} or {below + patch}, found {height} x {width}; set the extractor's resolution or crop."
            )
        options = {"indices": self.places, "norm": True, "stop_early": True, "intermediates_only": True}
        maps = self.network.forward_intermediates(normalised, **options)
        return maps


class TiledBackbone(Backbone):
    """A backbone that sees an image in overlapping squares, one after another, and puts their feature maps together.

    So a large image needs the memory of one square, and a vision transformer sees the size that it was trained on.
    Where two squares overlap, each gives the half that is farther from its own border, whose padding nobody sees then.

    Raises:
        UserError: the network's maps do not cover its input, or its strides do not divide the squares.
    """

    def __init__(self, whole: Backbone, tiles: Tiles) -> None:
        mean, std = (values.flatten().tolist() for values in (whole.mean, whole.std))
        super().__init__(whole.name, whole.layers, whole.strides, whole.channels, mean, std)
        stride = max(whole.strides.values())
        if isinstance(whole, PdnBackbone):
            raise UserError(f"backbone {whole.name}: expected no tiles, as its maps have no border, found {tiles}.")
        if tiles.size % stride or tiles.overlap % stride:
            raise UserError(
                f"backbone {whole.name}: expected tiles whose size and overlap are multiples of {stride} pixels (a "
                f"position of its deepest layer), found {tiles.size} and {tiles.overlap}."
            )
        self.whole, self.tiles, self.weights_sha256 = whole, tiles, whole.weights_sha256

    def tensors(self) -> dict[str, Tensor]:
        """Those of the whole."""
        return self.whole.tensors()

    def _features(self, normalised: Tensor) -> dict[str, Tensor]:
        height, width = normalised.shape[-2:]
        stride = max(self.strides.values())
        if height % stride or width % stride:
            raise UserError(
                f"backbone {self.name}: expected images whose sides are multiples of {stride} pixels for tiles, found "
                f"{height} x {width}; set the extractor's resolution or crop."
            )
        joined: dict[str, Tensor] = {}
        for top, rows in squares(height, self.tiles, stride):
            for left, columns in squares(width, self.tiles, stride):
                tile = normalised[..., top : top + self.tiles.size, left : left + self.tiles.size]
                for layer, maps in self.whole.of_normalised(tile).items():
                    step = self.strides[layer]
                    if layer not in joined:
                        joined[layer] = maps.new_empty(*maps.shape[:2], height // step, width // step)
                    joined[layer][..., _over(rows, step), _over(columns, step)] = maps[
                        ..., _over(rows, step, top), _over(columns, step, left)
                    ]
        return joined


def _over(pixels: tuple[int, int], step: int, start: int = 0) -> slice:
    """Positions of a map with so many pixels each that lie over a range of pixels, counted from ``start``."""
    return slice((pixels[0] - start) // step, (pixels[1] - start) // step)


def squares(side: int, tiles: Tiles, stride: int) -> list[tuple[int, tuple[int, int]]]:
    """Where squares start along a side, and the range of it that each answers for: in the end all of it, once.

    Borders between neighbours lie in the middle of what both see, at a multiple of ``stride`` (all in pixels); the last
    square ends where the side does.
    """
    last = max(0, side - tiles.size)
    starts = [*range(0, last, tiles.size - tiles.overlap), last]
    middles = [(left + tiles.size + right) // (2 * stride) * stride for left, right in pairwise(starts)]
    return list(zip(starts, pairwise([0, *middles, side]), strict=True))


def _is_vision_transformer(network: object) -> bool:
    """Whether timm's model is a plain vision transformer (DINOv2 is one; DINOv3 comes as EVA)."""
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(network, VisionTransformer | Eva)


def weights_file(name: str, weights: str | Path | None) -> Path:
    """The safetensors file of a timm model: the one given, or the hub's, downloaded.

    Raises:
        UserError: the file is missing, or nothing can be downloaded.
    """
    import timm
    from huggingface_hub import hf_hub_download

    if weights is not None:
        if not Path(weights).is_file() or Path(weights).suffix != ".safetensors":
            raise UserError(f"{weights}: expected a safetensors file with the weights of {name}, found none.")
        return Path(weights)
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
