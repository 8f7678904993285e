"""Sinusoidal codes of the positions of a feature map, the condition of a flow (CFLOW-AD, section 4.2)."""

import math

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class PositionCodes:
    """Codes of the positions of a grid: half of a code depends on the column alone, the other half on the row alone.

    A linear layer on the code of a position is therefore the sum of one value for its column and one for its row, so
    that a grid needs ``height + width`` products in place of one for every position of a batch.

    Args:
        height, width: of the grid, positions.
        size: numbers in a code, a multiple of 4.
    """

    def __init__(self, height: int, width: int, size: int, device: str | torch.device = "cpu") -> None:
        self.height, self.width, self.half = height, width, size // 2
        self.columns = axis_codes(width, self.half).to(device)
        self.rows = axis_codes(height, self.half).to(device)

    def project(self, weight: Tensor, bias: Tensor) -> Tensor:
        """A linear layer's part of every column, then of every row, from ``[size, F]``: ``[width + height, F]``."""
        table = weight.new_empty(self.width + self.height, weight.shape[1])
        torch.addmm(bias, self.columns, weight[: self.half], out=table[: self.width])
        torch.mm(self.rows, weight[self.half :], out=table[self.width :])
        return table

    def gather(self, table: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
        """The linear layer of some positions, ``[N, F]``, from what ``project`` gave."""
        return embedding_bag(torch.stack([columns, rows + self.width], dim=1), table, mode="sum")

    def project_all(self, weight: Tensor, bias: Tensor) -> Tensor:
        """The linear layer of every position, row by row, ``[height * width, F]``."""
        everywhere = torch.arange(self.height * self.width, device=weight.device)
        return self.gather(self.project(weight, bias), *self.locate(everywhere))

    def locate(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Column and row of positions counted row by row, image after image."""
        inside = positions % (self.height * self.width)
        return inside % self.width, inside // self.width

    def backward(self, gradient: Tensor, columns: Tensor, rows: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Write the gradients of the linear layer's ``weight`` and ``bias``.

        Args:
            gradient: of the layer's output for some positions, ``[N, F]``.
            columns, rows: where those positions are, each ``[N]``.
        """
        by_column = gradient.new_zeros(self.width, gradient.shape[1]).index_add_(0, columns, gradient)
        by_row = gradient.new_zeros(self.height, gradient.shape[1]).index_add_(0, rows, gradient)
        torch.mm(self.columns.T, by_column, out=weight[: self.half])
        torch.mm(self.rows.T, by_row, out=weight[self.half :])
        torch.sum(by_column, dim=0, out=bias)


def axis_codes(length: int, size: int) -> Tensor:
    """Sine and cosine in turn, with wavelengths from 2 pi to almost 20,000 pi positions, ``[length, size]``."""
    frequency = torch.exp(torch.arange(0, size, 2) * (-math.log(1e4) / size))
    angle = torch.arange(length)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
