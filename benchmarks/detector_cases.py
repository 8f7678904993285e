"""What both sides of ``detectors.py`` do: the same images, weights, architecture, steps and batch sizes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Settings = dict[str, Any]
BACKBONES: dict[str, Settings] = {
    # normalisation of the weights' authors, for both sides; no timm name: not one of timm's networks
    "efficientnet_lite0": {"timm": "tf_efficientnet_lite0", "mean": [0.5] * 3, "std": [0.5] * 3},
    "resnet18": {"timm": "resnet18", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "pdn_small": {"timm": None, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}
STAGES = {"stage3": "blocks.2", "stage5": "blocks.4", "stage7": "blocks.6"}


def _no_epochs(epochs: int, train: int) -> Settings:
    return {}


def _epochs(epochs: int, train: int) -> Settings:
    return {"epochs": epochs}


def _steps(epochs: int, train: int) -> Settings:
    """One image a step; one in ten, rounded down, is held out on both sides."""
    return {"steps": epochs * (train - max(1, train // 10)), "held_out": 0.1}


@dataclass(frozen=True)
class Case:
    """One detector on both sides.

    Attributes:
        backbone, layers: by our names; timm's are ``STAGES``, or the same.
        train, test: images to train on; normal, and anomalous, images to score.
        epochs, batch: of both; ``budget`` says a number of epochs, and of training images, in our settings.
        ours: settings of our detector.
        peer: arguments of anomalib's model.
        work: what is equal, in words, for the table.
    """

    backbone: str
    layers: tuple[str, ...]
    train: int
    epochs: int
    batch: int
    ours: Settings
    peer: Settings
    work: str
    test: int = 40
    resolution: int = 224
    budget: Callable[[int, int], Settings] = _epochs

    @property
    def timm_layers(self) -> list[str]:
        """The layers by timm's names."""
        return [STAGES.get(layer, layer) for layer in self.layers]


CASES = {
    "patchcore": Case(
        backbone="efficientnet_lite0",
        layers=("stage3", "stage5"),
        train=20,
        test=150,  # so that image AUROC tells differences of a few tenths of a point
        epochs=1,
        batch=32,
        ours={"coreset_fraction": 0.1, "projection": 128, "neighbours": 9},
        peer={"coreset_sampling_ratio": 0.1, "num_neighbors": 9},
        work="coreset of 10 %, 9 neighbours",
        budget=_no_epochs,
    ),
    "cflow": Case(
        backbone="efficientnet_lite0",
        layers=("stage3", "stage5", "stage7"),
        train=20,
        epochs=4,
        batch=32,
        ours={"learning_rate": 1e-4, "schedule": "constant", "warmup_fraction": 0.0, "precision": "bfloat16"},
        peer={"lr": 1e-4, "fiber_batch_size": 256},
        work="4 epochs, an Adam step of 1e-4 for each 256 positions",
    ),
    "reverse_distillation": Case(
        backbone="resnet18",
        layers=("layer1", "layer2", "layer3"),
        train=16,
        epochs=10,
        batch=8,
        ours={
            "batch_size": 8,
            "block": "basic",
            "blocks": [2, 2, 2],
            "embedding_blocks": 2,
            "width_factor": 1,
            "embedding_width_factor": 1,
            "precision": "bfloat16",
        },
        peer={},
        work="20 steps of 8 images",
    ),
    # At 256 px: anomalib's autoencoder needs as many. A step takes seconds on a CPU: so few say how fast a step is, not
    # how good the detector becomes; for that, `--device cuda --detectors efficientad --epochs 40`.
    "efficientad": Case(
        backbone="pdn_small",
        layers=("features",),
        train=10,
        test=16,
        epochs=1,
        batch=1,
        ours={"precision": "bfloat16"},
        peer={},
        work="9 steps of 1 image, penalty images from one folder",
        resolution=256,
        budget=_steps,
    ),
}

# On a GPU a few steps measure how it starts; so many take each side less than half a minute on a large one.
ON_GPU: dict[str, Settings] = {
    "patchcore": {"train": 100, "test": 150},
    "cflow": {"train": 50, "test": 75, "work": "4 epochs, an Adam step of 1e-4 for each 256 positions"},
    "reverse_distillation": {"train": 64, "epochs": 20, "test": 75, "work": "160 steps of 8 images"},
    "efficientad": {
        "train": 50,
        "epochs": 20,
        "test": 75,
        "work": "900 steps of 1 image, penalty images from one folder",
    },
}


def cases_on(device: str) -> dict[str, Case]:
    """The cases as a device takes them."""
    if not device.startswith("cuda"):
        return CASES
    return {name: replace(case, **ON_GPU[name]) for name, case in CASES.items()}
