"""Where the backbone of LPIPS may lie on this machine; nothing here downloads, and nothing imports torch."""

import os
from pathlib import Path

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's; its name holds the start of its SHA-256
ALEXNET_SHA256 = "7be5be79"


def hub_folder() -> Path:
    """The folder of checkpoints in the cache of torch.hub, as its environment variables say."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


def find_lpips_backbone(folder: str | Path) -> str | None:
    """Path of AlexNet's ImageNet weights: in ``folder``, or in the cache of torch.hub; None if they are in neither."""
    candidates = (Path(folder) / ALEXNET_FILE, hub_folder() / ALEXNET_FILE)
    return next((str(path) for path in candidates if path.is_file()), None)
