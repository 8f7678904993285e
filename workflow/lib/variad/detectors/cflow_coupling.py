"""A conditional normalising flow of affine coupling blocks, with its gradient written out.

One block splits the channels into a passive and an active half, moves the active half by a scale and a shift that a
small network computes from the passive half and the condition, scales and shifts every channel, and permutes them
(Real NVP; CFLOW-AD, equation 5 and its public code). The condition is a sinusoidal code of the position (section 4.2).
Gradients are analytic: a fibre is so small that automatic differentiation would cost more than the arithmetic."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

DAMPING = 0.1  # of the network's output, so that a block starts near the identity


class FlowShape(NamedTuple):
    """Channels of a feature, numbers in its condition, blocks, and the clamp: the largest logarithm of a scale."""

    channels: int
    condition: int
    blocks: int
    clamp: float

    @property
    def active(self) -> int:
        """Channels that a block moves."""
        return self.channels // 2

    @property
    def passive(self) -> int:
        """Channels that a block's network looks at."""
        return self.channels - self.active

    @property
    def hidden(self) -> int:
        """Width of a block's network: twice its input."""
        return 2 * (self.passive + self.condition)


class Parameters:
    """Named views into one flat vector; the same for weights, their low-precision copies and their gradients.

    Attributes:
        condition, condition_bias: first layers of all networks, their part that reads the condition.
        first, second, second_bias: the rest of the networks, one entry a block; transposed views too.
        scale, offset: of every channel after each block and its permutation; scale before ``channel_scale``.
    """

    def __init__(self, shape: FlowShape, flat: Tensor) -> None:
        sizes = self.sizes(shape)
        parts = flat.split([math.prod(size) for size in sizes])
        views = [part.view(size) for part, size in zip(parts, sizes, strict=True)]
        self.flat = flat
        self.condition, self.condition_bias = views[:2]
        self.first, self.second, self.second_bias = (view.unbind() for view in views[2:5])
        self.scale, self.offset = views[5:]
        self.first_transposed, self.second_transposed = (
            [view.T for view in part] for part in (self.first, self.second)
        )

    @staticmethod
    def sizes(shape: FlowShape) -> list[tuple[int, ...]]:
        """Shapes of the parts, in the order of the flat vector."""
        blocks, width, moved = shape.blocks, shape.blocks * shape.hidden, 2 * shape.active
        networks = [(blocks, shape.passive, shape.hidden), (blocks, shape.hidden, moved), (blocks, moved)]
        return [(shape.condition, width), (width,), *networks, *[(blocks, shape.channels)] * 2]


def initial_parameters(shape: FlowShape, generator: torch.Generator) -> Parameters:
    """Networks as PyTorch initialises linear layers, channel scales of 1, offsets of 0."""
    weights = Parameters(shape, torch.empty(sum(map(math.prod, Parameters.sizes(shape)))))
    first = (shape.passive + shape.condition) ** -0.5
    for part in (weights.condition, weights.condition_bias, *weights.first):
        part.uniform_(-first, first, generator=generator)
    for part in (*weights.second, *weights.second_bias):
        part.uniform_(-(shape.hidden**-0.5), shape.hidden**-0.5, generator=generator)
    weights.scale.fill_(2 * math.log(math.expm1(5)))
    weights.offset.zero_()
    return weights


def channel_scale(raw: Tensor) -> Tensor:
    """Scale of a channel, positive, 1 at the initial value: a softplus of slope 0.1."""
    return 0.2 * torch.nn.functional.softplus(raw / 2)


class BlockTape(NamedTuple):
    """What a block's gradient needs; N positions.

    Attributes:
        passive: input of the network, in its type; hidden: after the ReLU; squashed: tanh of the damped log-scales.
        growth: scale of the active half; grown: the active half times it.
        permuted: output before channel scale and offset.
    """

    passive: Tensor
    hidden: Tensor
    squashed: Tensor
    growth: Tensor
    grown: Tensor
    permuted: Tensor


class ConditionalFlow:
    """Coupling blocks with one fixed permutation each.

    Args:
        weights: the trained values.
        permutations: int64 ``[blocks, channels]``.
        dtype: what the networks' matrix products are computed in; everything else stays in the weights' type.
    """

    def __init__(
        self, shape: FlowShape, weights: Parameters, permutations: Tensor, dtype: torch.dtype = torch.float32
    ) -> None:
        self.shape, self.weights, self.permutations, self.dtype = shape, weights, permutations, dtype
        self._forth, self._back = permutations.unbind(), permutations.argsort(dim=1).unbind()
        self._low = weights if dtype == weights.flat.dtype else Parameters(shape, weights.flat.to(dtype))

    def refresh(self) -> None:
        """Take over weights that an optimiser changed."""
        if self._low is not self.weights:
            self._low.flat.copy_(self.weights.flat)

    def forward(self, features: Tensor, conditioned: Tensor) -> tuple[Tensor, Tensor, list[BlockTape]]:
        """Latents ``[N, channels]``, logarithms of the Jacobian's determinant ``[N]``, and the tape.

        Args:
            features: ``[N, channels]``.
            conditioned: the condition after the first layers, ``[N, blocks * hidden]``; overwritten.
        """
        scale = channel_scale(self.weights.scale)
        offsets, scales = self.weights.offset.unbind(), scale.unbind()
        tapes = []
        for block, part in enumerate(conditioned.split(self.shape.hidden, dim=1)):
            tape = self._block(block, features, part)
            features = torch.addcmul(offsets[block], tape.permuted, scales[block])
            tapes.append(tape)
        log_scales = torch.cat([tape.squashed for tape in tapes], dim=1).sum(dim=1)
        return features, self.shape.clamp * log_scales + scale.log().sum(), tapes

    def _block(self, block: int, given: Tensor, hidden: Tensor) -> BlockTape:
        passive, active = given.split([self.shape.passive, self.shape.active], dim=1)
        seen = passive.to(self.dtype)
        hidden.addmm_(seen, self._low.first[block]).relu_()
        output = torch.addmm(self._low.second_bias[block], hidden, self._low.second[block], beta=DAMPING, alpha=DAMPING)
        log_scale, shift = output.to(given.dtype).split(self.shape.active, dim=1)
        squashed = log_scale.tanh()
        growth = (squashed * self.shape.clamp).exp_()
        grown = active * growth
        permuted = torch.cat([passive, grown + shift], dim=1).index_select(1, self._forth[block])
        return BlockTape(seen, hidden, squashed, growth, grown, permuted)

    def backward(self, tapes: list[BlockTape], gradient: Tensor, pull: Tensor, into: Parameters) -> None:
        """Write the gradients of all weights but the condition's into ``into``.

        ``conditioned``, as it was given to ``forward``, afterwards holds its own gradient, from which the condition's
        weights get theirs: the tape is used up.

        Args:
            gradient: of the loss with respect to the latents, ``[N, channels]``.
            pull: of the loss with respect to the log-determinants, ``[N, 1]``.
        """
        scale = channel_scale(self.weights.scale)
        clamped = pull * self.shape.clamp
        scales, by_scale, by_offset = scale.unbind(), into.scale.unbind(), into.offset.unbind()
        for block in reversed(range(self.shape.blocks)):
            torch.sum(gradient, dim=0, out=by_offset[block])
            torch.sum(gradient * tapes[block].permuted, dim=0, out=by_scale[block])
            moved = (gradient * scales[block]).index_select(1, self._back[block])
            gradient = self._block_backward(block, tapes[block], moved, clamped, into)
        into.scale.add_(pull.sum() / scale).mul_(0.1 * torch.sigmoid(self.weights.scale / 2))

    def _block_backward(self, block: int, tape: BlockTape, moved: Tensor, pull: Tensor, into: Parameters) -> Tensor:
        """Gradient of a block's input from that of its output before permutation, ``moved``."""
        passive, shift = moved.split([self.shape.passive, self.shape.active], dim=1)
        log_scale = torch.addcmul(pull, shift, tape.grown, value=self.shape.clamp)
        log_scale = torch.ops.aten.tanh_backward(log_scale, tape.squashed)
        output = torch.cat([log_scale, shift], dim=1).mul_(DAMPING)
        torch.sum(output, dim=0, out=into.second_bias[block])
        output = output.to(self.dtype)
        _product(tape.hidden.T, output, into.second[block])
        hidden = output @ self._low.second_transposed[block]
        hidden = torch.ops.aten.threshold_backward(hidden, tape.hidden, 0, grad_input=tape.hidden)
        _product(tape.passive.T, hidden, into.first[block])
        if block == 0:
            return moved  # nobody asks for the gradient of the features
        network = hidden @ self._low.first_transposed[block]
        return torch.cat([network + passive, shift * tape.growth], dim=1)


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    if left.dtype == out.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left @ right)


def log_likelihood(latents: Tensor, log_determinants: Tensor) -> Tensor:
    """Log-likelihood per channel under a standard normal prior, ``[N]``."""
    channels = latents.shape[1]
    return (log_determinants - 0.5 * latents.square().sum(dim=1)) / channels - 0.5 * math.log(2 * math.pi)


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
        if table.is_cuda:
            return table.index_select(0, columns).add_(table.index_select(0, rows + self.width))
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
        by_column = _sums(gradient, columns, self.width)
        by_row = _sums(gradient, rows, self.height)
        torch.mm(self.columns.T, by_column, out=weight[: self.half])
        torch.mm(self.rows.T, by_row, out=weight[self.half :])
        torch.sum(by_column, dim=0, out=bias)


def _sums(gradient: Tensor, places: Tensor, count: int) -> Tensor:
    """Sums of the rows ``[N, F]`` that have the same place: ``[count, F]``."""
    if gradient.is_cuda:  # index_add_ would add in an order of its own in every run
        everywhere = torch.arange(count, device=places.device)[:, None]
        return (everywhere == places).to(gradient.dtype) @ gradient
    return gradient.new_zeros(count, gradient.shape[1]).index_add_(0, places, gradient)


def axis_codes(length: int, size: int) -> Tensor:
    """Sine and cosine in turn, with wavelengths from 2 pi to almost 20,000 pi positions, ``[length, size]``."""
    frequency = torch.exp(torch.arange(0, size, 2) * (-math.log(1e4) / size))
    angle = torch.arange(length)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
