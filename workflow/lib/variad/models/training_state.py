"""What every training of a shipped network does alike: a step of descent, averaged weights, a state to go on from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from variad.errors import UserError
from variad.files import writing

LARGEST_NORM = 1.0  # of the gradient


def descend(loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """One optimiser step on a loss, its gradient clipped."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
    optimiser.step()


@torch.no_grad()
def follow(average: Mapping[str, Tensor], network: nn.Module, step: int, weight: float) -> None:
    """Move averaged weights towards the network's, in place.

    Args:
        step: steps before this one. The first have a shorter memory, so that the initial weights are forgotten.
        weight: of the average, later on.
    """
    keep = min(weight, (1 + step) / (10 + step))
    for name, tensor in network.state_dict().items():
        average[name].lerp_(tensor, 1 - keep)


def save_state(path: Path, settings: str, state: Mapping[str, Any]) -> None:
    """Write all that a killed training needs to go on.

    Args:
        settings: whatever the state follows from, in words.
    """
    with writing(path) as temporary:
        torch.save({"settings": settings, **state}, temporary)


def load_state(path: Path, settings: str) -> dict[str, Any]:
    """What ``save_state`` wrote.

    Raises:
        UserError: the file belongs to other settings.
    """
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["settings"] != settings:
        raise UserError(f"{path}: expected a training with the same settings, found {state['settings']}.")
    return state
