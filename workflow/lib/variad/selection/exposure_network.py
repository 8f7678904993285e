"""A pretrained network in two parts, the first frozen, the last fine-tuned for a few dozen steps.

What it sees (light views, the same for normal and synthetic images), what it learns to tell apart, the anomaly score.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.images import Images
from variad.networks import efficientnet_lite0 as lite0
from variad.networks.backbones import LITE0, weights_file
from variad.networks.features import prepare
from variad.networks.private_apis import has_token_positions, tokens_of

SHIFT = 0.04  # of the side, at most
BATCH = 32
WITH_ANOMALIES = ("classification", "regression")
NEIGHBOURS = 3


def random_views(images: Images, count: int, generator: np.random.Generator) -> Images:
    """``count`` views of every image: mirrored or not, shifted by up to 4 % of its side, borders reflected [assumed].

    Args:
        images: uint8 ``[N, S, S, 3]``.

    Returns:
        uint8 ``[count * N, S, S, 3]``; view v of image n is row ``v * N + n``.
    """
    total = count * len(images)
    reach = max(1, round(SHIFT * images.shape[1]))
    mirrored = generator.random(total) < 0.5
    shifts = generator.integers(-reach, reach + 1, (total, 2))
    return np.stack([_view(images[row % len(images)], mirrored[row], shifts[row], reach) for row in range(total)])


def rotated(images: Images, quarters: NDArray[np.int64]) -> Images:
    """Image n turned by ``quarters[n]`` quarters."""
    return np.stack([np.rot90(image, int(turns)) for image, turns in zip(images, quarters, strict=True)])


def _view(image: Images, mirror: bool, shift: NDArray[np.int64], reach: int) -> Images:
    side = image.shape[0]
    padded = np.pad(image[:, ::-1] if mirror else image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    top, left = reach + int(shift[0]), reach + int(shift[1])
    return padded[top : top + side, left : left + side]


def normalised(images: Tensor, resolution: int | None, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 ``[B, S, S, 3]`` as a network takes them: resized, in [0, 1], then normalised, ``[B, 3, R, R]``."""
    pixels = prepare(images.permute(0, 3, 1, 2).float() / 255, resolution, None)
    return (pixels - pixels.new_tensor(mean).view(1, -1, 1, 1)) / pixels.new_tensor(std).view(1, -1, 1, 1)


class Apply(nn.Module):
    """A function, without weights to train, as a part of a network."""

    def __init__(self, function: Callable[..., Tensor], *arguments: Any) -> None:
        super().__init__()
        self.function, self.arguments = function, arguments

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.function(x, *self.arguments)


class SplitNetwork(nn.Module):
    """Images to embeddings, ``tail(trunk(images))``.

    Attributes:
        trunk: frozen; None if everything is fine-tuned, the tail then takes images as they are stored.
        tail: what is fine-tuned, up to the last layer before the prediction.
        width: of the embedding.
    """

    def __init__(self, trunk: nn.Module | None, tail: nn.Module, width: int) -> None:
        super().__init__()
        self.trunk, self.tail, self.width = trunk, tail, width
        self.eval().requires_grad_(False)

    def activations(self, images: Images, device: str = "cpu") -> Tensor:
        """What the tail takes, for uint8 images ``[N, S, S, 3]``: computed once, whatever the tail learns."""
        pixels = torch.from_numpy(images)
        if self.trunk is None or not len(images):
            return pixels
        return embed(self.trunk, pixels, device).clone()


def embed(part: nn.Module, inputs: Tensor, device: str = "cpu") -> Tensor:
    """What a part of the network makes of its inputs ``[N, ...]``, in batches; embeddings ``[N, D]`` of the tail."""
    with torch.inference_mode():
        return torch.cat([part(batch.to(device)) for batch in inputs.split(BATCH)])


def load_network(
    backbone: str, weights: str | Path | None, trained_blocks: int | None, resolution: int | None
) -> SplitNetwork:
    """Load a pretrained network and split it.

    Args:
        backbone: ``efficientnet_lite0`` (packaged weights), or a timm model's name; blocks of a vision transformer and
            stages of EfficientNet-Lite0 can be frozen, other models are fine-tuned as a whole.
        weights: a local safetensors file of a timm model, downloaded if not given.
        trained_blocks: how many of the last ones are fine-tuned; None for all.
        resolution: side that images are resized to, pixels; None leaves them, or is the model's own for timm.

    Raises:
        UserError: unknown model, weights that cannot be had, or more trained blocks than there are.
    """
    if backbone == LITE0:
        return _lite0(trained_blocks, resolution)
    return _timm(backbone, weights, trained_blocks, resolution)


def _lite0(trained: int | None, resolution: int | None) -> SplitNetwork:
    network = lite0.load_packaged()
    start = [Apply(normalised, resolution, [lite0.MEAN] * 3, [lite0.STD] * 3), network.stem]
    stages, end = list(network.stages), [network.head, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if trained is None:
        return SplitNetwork(None, nn.Sequential(*start, *stages, *end), lite0.HEAD_CHANNELS)
    split = _split(LITE0, trained, len(stages))
    trunk, tail = nn.Sequential(*start, *stages[:split]), nn.Sequential(*stages[split:], *end)
    return SplitNetwork(trunk, tail, lite0.HEAD_CHANNELS)


class TransformerTrunk(nn.Module):
    """Patches, positions and the first blocks of a vision transformer."""

    def __init__(self, pixels: nn.Module, model: Any, blocks: nn.Module) -> None:
        super().__init__()
        self.pixels, self.model, self.blocks = pixels, model, blocks

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images ``[B, S, S, 3]`` to tokens ``[B, T, D]``."""
        blocked: Tensor = self.blocks(tokens_of(self.model, self.pixels(images)))
        return blocked


def _timm(name: str, weights: str | Path | None, trained: int | None, resolution: int | None) -> SplitNetwork:
    import timm

    if name.split(".")[0] not in timm.list_models():
        raise UserError(f"config key exposure.backbone: expected {LITE0} or a timm model's name, found '{name}'.")
    path = weights_file(name, weights)
    try:
        model: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: expected the weights of {name}, found another file's: {reason}") from error
    configuration, width = model.pretrained_cfg, int(model.head_hidden_size)
    side = resolution or int(configuration["input_size"][-1])
    pixels = Apply(normalised, side, configuration["mean"], configuration["std"])
    if trained is None:
        model.reset_classifier(0)  # what it returns is then what went into its prediction
        return SplitNetwork(None, nn.Sequential(pixels, model), width)
    if not has_token_positions(model):
        raise UserError(f"config key exposure.trained_blocks: expected null for {name}, found {trained}.")
    blocks = model.blocks
    split = _split(name, trained, len(blocks))
    tail = nn.Sequential(blocks[split:], model.norm, Apply(model.pool), model.fc_norm)
    return SplitNetwork(TransformerTrunk(pixels, model, blocks[:split]), tail, width)


def _split(name: str, trained: int, blocks: int) -> int:
    """How many of a network's blocks stay frozen."""
    if trained > blocks:
        raise UserError(f"config key exposure.trained_blocks: expected at most {blocks} for {name}, found {trained}.")
    return blocks - trained


@dataclass(frozen=True)
class Objective:
    """A head of ``outputs`` numbers and the loss of its predictions ``[B, outputs]`` for targets ``[B]``."""

    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]


def _binary(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(predictions[:, 0], targets)


OBJECTIVES: dict[str, Objective] = {
    "classification": Objective(1, _binary),
    "regression": Objective(1, lambda predictions, targets: functional.mse_loss(predictions[:, 0], targets)),
    "rotation": Objective(4, lambda predictions, targets: functional.cross_entropy(predictions, targets.long())),
    "relabelled": Objective(1, _binary),
}


def anomaly_targets(objective: str, source: str, strengths: NDArray[np.float64]) -> Tensor:
    """Targets of synthetic anomalies, ``[N]``: 1 for classification, the edit strength for regression (normals: 0).

    Raises:
        UserError: regression for a source whose anomalies do not differ in strength.

    Source: second document, section A.3.
    """
    if objective == "classification":
        return torch.ones(len(strengths))
    if len(np.unique(strengths[np.isfinite(strengths)])) < 2:
        raise UserError(
            f"config key exposure.sources.{source}: expected regression only for a source with several strengths, "
            "found anomalies of one strength."
        )
    return torch.tensor(strengths, dtype=torch.float32)


def random_halves(count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the support set, which ``relabelled`` takes for anomalies: bool ``[count]``."""
    chosen = np.zeros(count, bool)
    chosen[generator.permutation(count)[: count // 2]] = True
    return chosen


@dataclass(frozen=True)
class FineTuningSchedule:
    """How long and how fast; every objective and control has the same."""

    steps: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Examples:
    """What a network learns from: groups of activations, each with targets; a batch takes as many of each group.

    Attributes:
        activations: of each group, ``[N, ...]``.
        targets: of each group, ``[N]``.
    """

    activations: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]


def fine_tune(
    tail: nn.Module,
    width: int,
    objective: str,
    examples: Examples,
    schedule: FineTuningSchedule,
    generator: torch.Generator,
    device: str = "cpu",
) -> tuple[nn.Module, list[float]]:
    """A fine-tuned copy of ``tail`` without its head, and the loss of every step.

    AdamW [assumed] on tail and head; a network's running statistics stay as they are.

    Args:
        width: of the tail's embedding, which a linear head predicts from.
        objective: a name of ``OBJECTIVES``.
        generator: draws head and batches, on the CPU.
    """
    wanted = OBJECTIVES[objective]
    tuned = copy.deepcopy(tail).eval().requires_grad_(True).to(device)
    head = nn.Linear(width, wanted.outputs)
    with torch.no_grad():  # starts near zero, so that the first steps do not undo the pretrained embedding
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 0.01 / width**0.5)
        head.bias.zero_()
    head = head.to(device)
    optimiser = torch.optim.AdamW([*tuned.parameters(), *head.parameters()], lr=schedule.learning_rate)
    losses = []
    for inputs, targets in _batches(examples, schedule, generator):
        loss = wanted.loss(head(tuned(inputs.to(device))), targets.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return tuned.requires_grad_(False), losses


def _batches(
    examples: Examples, schedule: FineTuningSchedule, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    share = max(1, schedule.batch_size // len(examples.activations))
    for _ in range(schedule.steps):
        rows = [torch.randint(len(group), (share,), generator=generator) for group in examples.activations]
        inputs = [group[row] for group, row in zip(examples.activations, rows, strict=True)]
        targets = [group[row] for group, row in zip(examples.targets, rows, strict=True)]
        yield torch.cat(inputs), torch.cat(targets).float()


def support_distance(embeddings: Tensor, support: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Total Euclidean distance to the closest support embeddings.

    Args:
        embeddings: of the images to score, ``[N, D]``.
        support: of the support images, ``[M, D]``.

    Returns:
        ``[N]``; higher is more anomalous.

    Raises:
        UserError: the support set has fewer images than ``neighbours``.

    Source: second document, section A.3.
    """
    if len(support) < neighbours:
        raise UserError(f"exposure: expected a support set of at least {neighbours} images, found {len(support)}.")
    # not by matrix products: they would cost digits where images are close to the support
    distances = torch.cdist(embeddings, support, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(neighbours, dim=1, largest=False).values.sum(dim=1)
