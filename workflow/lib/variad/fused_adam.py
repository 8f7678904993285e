"""Adam in one fused pass, from torch's functional form.

The class ``torch.optim.Adam`` imports torch's compiler, which takes over four seconds in every process that trains.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam


class FusedAdam:
    """Adam (Kingma & Ba, 2015) with epsilon 1e-8; equal to ``torch.optim.Adam(fused=True)``.

    Args:
        parameters: leaves on one device; those without a gradient when ``step`` is called stay as they are.
        weight_decay: added to the gradient, times the weights.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.betas, self.weight_decay = learning_rate, betas, weight_decay
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters, and forget their gradients."""
        moved = [place for place, parameter in enumerate(self.parameters) if parameter.grad is not None]
        parameters = [self.parameters[place] for place in moved]
        adam(
            parameters,
            [_laid_out_as(parameter) for parameter in parameters],
            [self.first[place] for place in moved],
            [self.second[place] for place in moved],
            [],
            [self.steps[place] for place in moved],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        for parameter in parameters:
            parameter.grad = None


def _laid_out_as(parameter: Tensor) -> Tensor:
    """A parameter's gradient in the parameter's order in memory: the fused kernel pairs numbers by their place."""
    gradient = parameter.grad
    assert gradient is not None
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
