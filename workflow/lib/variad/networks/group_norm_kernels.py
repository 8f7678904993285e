# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
"""Triton kernels of a group norm with the SiLU behind it, on numbers that lie channels last, ``[B, N, C]``.

Sums over positions are taken in chunks and added in a fixed order, in float32, so that a result repeats. What a channel
holds at an image's first position is taken off before squares are summed: their differences would cancel otherwise.
Imported where a GPU computes, and nowhere else.
"""

import triton
import triton.language as tl

# else each size of image and batch would compile kernels of its own, at most of a second each
SIZES = ["positions", "rows", "chunks", "images"]


@triton.jit(do_not_specialize=SIZES)
def channel_sums(x, out, positions, rows, C: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Sums of ``x - pivot`` and of its squares over a chunk's positions: ``out`` ``[B, chunks, 2, C]``."""
    image, chunk = tl.program_id(0), tl.program_id(1)
    channel = tl.arange(0, WIDTH)
    inside = channel < C
    start = x + image.to(tl.int64) * positions * C
    pivot = tl.load(start + channel, mask=inside, other=0.0).to(tl.float32)
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    end = tl.minimum((chunk + 1) * rows, positions)
    for row in range(chunk * rows, end, ROWS):
        at = row + tl.arange(0, ROWS)
        there = (at < end)[:, None] & inside[None, :]
        value = tl.load(start + at[:, None] * C + channel[None, :], mask=there, other=0.0).to(tl.float32)
        value = tl.where(there, value - pivot[None, :], 0.0)
        first += value
        second += value * value
    to = out + (image * tl.num_programs(1) + chunk) * 2 * C + channel
    tl.store(to, tl.sum(first, axis=0), mask=inside)
    tl.store(to + C, tl.sum(second, axis=0), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def moments(
    x, sums, weight, bias, scale, shift, mean, rstd, positions, chunks, eps,
    C: tl.constexpr, D: tl.constexpr, CHUNKS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Of each image ``mean`` and ``rstd`` by groups of D channels ``[B, C / D]``; ``scale``, ``shift`` ``[B, C]``."""
    image, group = tl.program_id(0), tl.program_id(1)
    chunk, place = tl.arange(0, CHUNKS), tl.arange(0, WIDTH)
    inside = place < D
    there = (chunk < chunks)[:, None] & inside[None, :]
    channel = group * D + place
    at = sums + (image * chunks + chunk)[:, None] * 2 * C + channel[None, :]
    pivot = tl.load(x + image.to(tl.int64) * positions * C + channel, mask=inside, other=0.0).to(tl.float32)
    off = tl.sum(tl.load(at, mask=there, other=0.0), axis=0) / positions
    own = tl.sum(tl.load(at + C, mask=there, other=0.0), axis=0) / positions - off * off
    middle = tl.sum(tl.where(inside, off + pivot, 0.0), axis=0) / D
    apart = off + pivot - middle
    variance = tl.sum(tl.where(inside, own + apart * apart, 0.0), axis=0) / D
    inverse = 1.0 / tl.sqrt_rn(tl.maximum(variance, 0.0) + eps)
    factor = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32) * inverse
    addend = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32) - middle * factor
    tl.store(scale + image * C + channel, factor, mask=inside)
    tl.store(shift + image * C + channel, addend, mask=inside)
    tl.store(mean + image * tl.num_programs(1) + group, middle)
    tl.store(rstd + image * tl.num_programs(1) + group, inverse)


@triton.jit(do_not_specialize=SIZES)
def normalise(
    x, y, scale, shift, positions, C: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr
):
    """``silu(x * scale + shift)``, ROWS positions of an image a program."""
    image = tl.program_id(1)
    channel = tl.arange(0, WIDTH)
    inside = channel < C
    at = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = (at < positions)[:, None] & inside[None, :]
    place = image.to(tl.int64) * positions * C + at[:, None] * C + channel[None, :]
    factor = tl.load(scale + image * C + channel, mask=inside, other=0.0)
    addend = tl.load(shift + image * C + channel, mask=inside, other=0.0)
    z = tl.load(x + place, mask=there, other=0.0).to(tl.float32) * factor[None, :] + addend[None, :]
    if SILU:
        z = z * tl.sigmoid(z)
    tl.store(y + place, z.to(y.dtype.element_ty), mask=there)


@triton.jit
def _through_silu(gradient, z):
    s = tl.sigmoid(z)
    return gradient * s * (1 + z * (1 - s))


@triton.jit(do_not_specialize=SIZES)
def gradient_sums(
    x, gradient, out, scale, shift, mean, rstd, positions, rows,
    C: tl.constexpr, D: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sums of the gradient before the SiLU, and of it times the normed ``x``, over a chunk: ``[B, chunks, 2, C]``."""
    image, chunk = tl.program_id(0), tl.program_id(1)
    channel = tl.arange(0, WIDTH)
    inside = channel < C
    start = image.to(tl.int64) * positions * C
    factor = tl.load(scale + image * C + channel, mask=inside, other=0.0)
    addend = tl.load(shift + image * C + channel, mask=inside, other=0.0)
    middle = tl.load(mean + image * (C // D) + channel // D, mask=inside, other=0.0)
    inverse = tl.load(rstd + image * (C // D) + channel // D, mask=inside, other=0.0)
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    end = tl.minimum((chunk + 1) * rows, positions)
    for row in range(chunk * rows, end, ROWS):
        at = row + tl.arange(0, ROWS)
        there = (at < end)[:, None] & inside[None, :]
        place = start + at[:, None] * C + channel[None, :]
        value = tl.load(x + place, mask=there, other=0.0).to(tl.float32)
        part = tl.load(gradient + place, mask=there, other=0.0).to(tl.float32)
        if SILU:
            part = _through_silu(part, value * factor[None, :] + addend[None, :])
        first += part
        second += part * (value - middle[None, :]) * inverse[None, :]
    to = out + (image * tl.num_programs(1) + chunk) * 2 * C + channel
    tl.store(to, tl.sum(first, axis=0), mask=inside)
    tl.store(to + C, tl.sum(second, axis=0), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def gradient_means(
    sums, weight, means, positions, chunks,
    C: tl.constexpr, D: tl.constexpr, CHUNKS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The means over a group of what ``gradient_sums`` summed, times the weight: ``means`` ``[2, B, C / D]``."""
    image, group = tl.program_id(0), tl.program_id(1)
    chunk, place = tl.arange(0, CHUNKS), tl.arange(0, WIDTH)
    inside = place < D
    there = (chunk < chunks)[:, None] & inside[None, :]
    channel = group * D + place
    at = sums + (image * chunks + chunk)[:, None] * 2 * C + channel[None, :]
    factor = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32) / positions / D
    to = means + image * tl.num_programs(1) + group
    tl.store(to, tl.sum(tl.sum(tl.load(at, mask=there, other=0.0), axis=0) * factor, axis=0))
    second = tl.sum(tl.sum(tl.load(at + C, mask=there, other=0.0), axis=0) * factor, axis=0)
    tl.store(to + tl.num_programs(0) * tl.num_programs(1), second)


@triton.jit(do_not_specialize=SIZES)
def gradient_of_input(
    x, gradient, out, scale, shift, mean, rstd, means, images, positions,
    C: tl.constexpr, D: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """``scale * g - rstd * (mean(w g) + xn * mean(w g xn))``, g before the SiLU, xn the normed ``x``."""
    image = tl.program_id(1)
    channel = tl.arange(0, WIDTH)
    inside = channel < C
    group = image * (C // D) + channel // D
    factor = tl.load(scale + image * C + channel, mask=inside, other=0.0)
    addend = tl.load(shift + image * C + channel, mask=inside, other=0.0)
    middle = tl.load(mean + group, mask=inside, other=0.0)
    inverse = tl.load(rstd + group, mask=inside, other=0.0)
    plain = tl.load(means + group, mask=inside, other=0.0)
    along = tl.load(means + images * (C // D) + group, mask=inside, other=0.0)
    at = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = (at < positions)[:, None] & inside[None, :]
    place = image.to(tl.int64) * positions * C + at[:, None] * C + channel[None, :]
    value = tl.load(x + place, mask=there, other=0.0).to(tl.float32)
    part = tl.load(gradient + place, mask=there, other=0.0).to(tl.float32)
    if SILU:
        part = _through_silu(part, value * factor[None, :] + addend[None, :])
    normed = (value - middle[None, :]) * inverse[None, :]
    found = factor[None, :] * part - inverse[None, :] * (plain[None, :] + along[None, :] * normed)
    tl.store(out + place, found.to(out.dtype.element_ty), mask=there)
