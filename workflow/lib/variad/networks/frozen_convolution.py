"""A convolution whose weights never change, with the ReLU6 behind it: faster on a CPU, forward and backward."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from variad.core.precision import packs_convolutions
from variad.networks.private_apis import convolve_packed, pack_kernel

CEILING = 6.0  # of a ReLU6


class FrozenConvolution(nn.Module):
    """``convolution(x)``, clamped to [0, 6] if wished, with gradients for ``x`` alone.

    The same values as torch's own layers up to rounding. On a CPU, in float32, a network of them takes up to half less
    time, most of it saved where images are few (EfficientNet-Lite0, 224 px, one core: 12.1 to 7.8 ms for one, 44 to 25
    for four):

    - The weights are brought into oneDNN's own order once, where torch does it at every call.
    - 1 x 1 convolutions of few images in one thread go to oneDNN as well, where torch takes a product of matrices.
    - The clamped output is all that is kept for the backward pass.
    - The gradient at stride 1 is a convolution with the flipped kernels.

    Within ``torch.autocast`` what is clamped is in its precision, what is not (the terms of sums) in the weights'.
    Where ``packs_convolutions`` says no, and in an exported graph, torch's own layers compute.
    A stride of 2 pads as TensorFlow's ``SAME`` does, see ``same_kernel``.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, clamp: bool) -> None:
        """
        Args:
            convolution: with a bias and a square, odd kernel; of stride 1 with ``kernel // 2`` zeros around, or of
                stride 2; dense or depthwise.
            clamp: whether a ReLU6 follows.
        """
        super().__init__()
        assert convolution.bias is not None  # what batch normalisation is folded into
        self.stride, self.padding = convolution.stride[0], convolution.kernel_size[0] // 2
        self.groups, self.clamp = convolution.groups, clamp
        self.register_buffer("weight", convolution.weight.detach().clone())
        self.register_buffer("bias", convolution.bias.detach().clone())
        self._packed: dict[object, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, D, H / stride, W / stride]``, rounded up."""
        dtype = _precision(x)
        y: Tensor
        if torch.compiler.is_exporting():  # other runtimes pad unevenly at no cost, and know no packed kernels
            y = functional.conv2d(
                pad_same(x, self.weight, self.stride), self.weight, self.bias, self.stride, groups=self.groups
            )
            y = y.clamp(0.0, CEILING) if self.clamp else y
        elif x.device.type == "cpu" and packs_convolutions(dtype):
            y = _OnCpu.apply(x.to(dtype), self)  # type: ignore[no-untyped-call]
        else:
            kernel, bias = self._kernel(x).to(x.dtype), self.bias.to(x.dtype)
            y = functional.conv2d(x, kernel, bias, self.stride, self.padding, groups=self.groups)
            y = y.clamp(0.0, CEILING) if self.clamp else y
        return y if self.clamp else y.to(self.weight.dtype)

    def _kernel(self, x: Tensor) -> Tensor:
        return self.weight if self.stride == 1 else same_kernel(self.weight, x)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution and the clamp by oneDNN, in the input's precision."""
        parity = [side % self.stride for side in x.shape[-2:]]  # a kernel of stride 2 differs by it
        packed = self._pack((x.dtype, *parity), lambda: self._kernel(x), x, self.stride)
        bias, ceiling = self.bias.to(x.dtype), CEILING if self.clamp else None
        return convolve_packed(x, packed, bias, self.stride, self.padding, self.groups, ceiling)

    def gradient(self, of_output: Tensor, shape: torch.Size) -> Tensor:
        """The gradient of the input, of this shape, from the output's in front of the clamp, both channels last."""
        if self.stride == 1:
            packed = self._pack((of_output.dtype, "flipped"), self._flipped, of_output, 1)
            return convolve_packed(of_output, packed, None, 1, self.padding, self.groups, None)
        whole = of_output.to(self.weight.dtype)  # oneDNN has no fast code for this in bfloat16
        return (self._scatter if self.groups == 1 else self._transpose)(whole, shape).to(of_output.dtype)

    def _flipped(self) -> Tensor:
        flipped = self.weight.flip(2, 3)
        return flipped if self.groups > 1 else flipped.transpose(0, 1)

    def _pack(self, key: object, kernel: Callable[[], Tensor], x: Tensor, stride: int) -> Tensor:
        if key not in self._packed:
            plain = kernel().to(x.dtype).contiguous()
            self._packed[key] = pack_kernel(plain, x.shape, stride, self.padding, self.groups)
        return self._packed[key]

    def _transpose(self, of_output: Tensor, shape: torch.Size) -> Tensor:
        x = torch.empty(shape, memory_format=torch.channels_last)  # what is in it has no influence
        padding, strides, wanted = (self.padding,) * 2, (self.stride,) * 2, (True, False, False)
        return torch.ops.aten.convolution_backward(
            of_output, x, self._kernel(x), None, strides, padding, (1, 1), False, (0, 0), self.groups, wanted
        )[0]

    def _scatter(self, of_output: Tensor, shape: torch.Size) -> Tensor:
        # the layer that sees the image has 3 channels, where oneDNN's code wants 16
        taps = self.weight.flatten(1).T @ of_output.flatten(2)
        height, width = shape[-2:]
        above, left = self.padding - 1 + height % 2, self.padding - 1 + width % 2
        padded = (above + height + self.padding, left + width + self.padding)
        whole = functional.fold(taps, padded, self.weight.shape[-1], stride=self.stride)
        return whole[..., above : above + height, left : left + width]


class _OnCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: FrozenConvolution) -> Tensor:
        y = layer.convolve(x)
        if layer.clamp:
            ctx.save_for_backward(y)
        ctx.layer, ctx.shape = layer, x.shape
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), layer = gradients, ctx.layer
        if layer.clamp:
            # zero where the output is 0 or 6, which is where the input was not between them
            gradient = torch.ops.aten.hardtanh_backward(gradient, ctx.saved_tensors[0], 0.0, CEILING)
        return layer.gradient(gradient.contiguous(memory_format=torch.channels_last), ctx.shape), None


def _precision(x: Tensor) -> torch.dtype:
    autocast = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # which autocast leaves as it is
    return torch.get_autocast_dtype("cpu") if autocast else x.dtype


def same_kernel(weight: Tensor, x: Tensor) -> Tensor:
    """The kernel that makes a convolution of stride 2 and ``kernel // 2`` zeros on all sides pad as ``SAME``.

    An even side wants one zero less at its beginning: a row of zeros in front of the kernel's own takes it up, and the
    input needs no copy with one more zero at its end.

    Args:
        weight: ``[D, C, K, K]``, K odd.
        x: what it is used on, ``[B, C, H, W]``.
    """
    rows, columns = (1 - side % 2 for side in x.shape[-2:])
    return functional.pad(weight, (columns, 0, rows, 0))


def pad_same(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """``x`` with the zeros around it that TensorFlow's ``SAME`` asks for: on an even side, one less at its beginning.

    Args:
        weight: ``[D, C, K, K]``, K odd.
        stride: 1 or 2.
    """
    around = weight.shape[-1] // 2
    above, left = (around - (stride == 2 and side % 2 == 0) for side in x.shape[-2:])
    return functional.pad(x, (left, around, above, around))
