"""Weights and penalty images for both sides of ``detectors.py``, on disk."""

from pathlib import Path

from PIL import Image


def write_weights(path: Path, backbone: str, timm_name: str | None) -> None:
    """A safetensors file under timm's names: EfficientNet-Lite0's packaged weights, or ones drawn by a fixed seed."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = _network(backbone, timm_name)
    if backbone == "efficientnet_lite0":
        from variad.networks.efficientnet_lite0 import packaged_weights

        packaged = torch.load(packaged_weights(), map_location="cpu", weights_only=True)
        network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def _network(backbone: str, timm_name: str | None):  # type: ignore[no-untyped-def]
    if timm_name is None:
        from variad.networks.pdn import PDN, config_of

        return PDN(config_of(backbone))
    import timm

    return timm.create_model(timm_name, pretrained=False)


def write_penalty_images(folder: Path) -> Path:
    """Openly licensed photographs in ``folder/photographs``, where a loader of classified images finds them."""
    from variad.datasets.open_images import photographs

    inside = folder / "photographs"
    inside.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(photographs(False)):
        if not (inside / f"{number:02}.png").exists():
            Image.fromarray(picture).save(inside / f"{number:02}.png")
    return folder
