"""The flow against automatic differentiation."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from variad.detectors.cflow import flow_gradients
from variad.detectors.cflow_coupling import (
    ConditionalFlow,
    FlowShape,
    Parameters,
    PositionCodes,
    initial_parameters,
    log_likelihood,
)

GRID = (3, 5)


def drawn_flow(channels: int = 5, blocks: int = 3) -> tuple[ConditionalFlow, PositionCodes]:
    """A flow in float64 far from its initial values, and the codes of a small grid."""
    generator = torch.Generator().manual_seed(0)
    shape = FlowShape(channels, 8, blocks, 1.9)
    flat = initial_parameters(shape, generator).flat.double()
    flat += 0.3 * torch.randn(len(flat), generator=generator, dtype=torch.float64)
    permutations = torch.stack([torch.randperm(channels, generator=generator) for _ in range(blocks)])
    codes = PositionCodes(*GRID, 8)
    codes.columns, codes.rows = codes.columns.double(), codes.rows.double()
    return ConditionalFlow(shape, Parameters(shape, flat), permutations, torch.float64), codes


def fibre(channels: int = 5, count: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and positions, some of them twice."""
    generator = torch.Generator().manual_seed(1)
    features = 2 * torch.randn(count, channels, generator=generator, dtype=torch.float64) + 0.5
    return features, torch.randint(0, 2 * GRID[0] * GRID[1], (count,), generator=generator)


def plain_flow(weights: Parameters, flow: ConditionalFlow, features: torch.Tensor, code: torch.Tensor):
    """Latent ``[channels]`` of one feature vector, block by block, and the sum of all logarithms of scales."""
    shape, log_determinant = flow.shape, torch.zeros(())
    first_condition = weights.condition.unflatten(1, (shape.blocks, shape.hidden))
    first_bias = weights.condition_bias.unflatten(0, (shape.blocks, shape.hidden))
    for block in range(shape.blocks):
        passive, active = features[: shape.passive], features[shape.passive :]
        first = torch.cat([weights.first[block], first_condition[:, block]])
        hidden = torch.relu(torch.cat([passive, code]) @ first + first_bias[block])
        output = 0.1 * (hidden @ weights.second[block] + weights.second_bias[block])
        log_scale = shape.clamp * torch.tanh(output[: shape.active])
        moved = torch.cat([passive, active * torch.exp(log_scale) + output[shape.active :]])
        scale = 0.1 * torch.nn.functional.softplus(weights.scale[block], beta=0.5)
        features = moved[flow.permutations[block]] * scale + weights.offset[block]
        log_determinant = log_determinant + log_scale.sum() + scale.log().sum()
    return features, log_determinant


def code_of(codes: PositionCodes, position: int) -> torch.Tensor:
    row, column = divmod(position % (codes.height * codes.width), codes.width)
    return torch.cat([codes.columns[column], codes.rows[row]])


def likelihood(flow: ConditionalFlow, codes: PositionCodes, features: torch.Tensor, positions: torch.Tensor):
    weights = flow.weights
    conditioned = codes.gather(codes.project(weights.condition, weights.condition_bias), *codes.locate(positions))
    return log_likelihood(*flow.forward(features, conditioned)[:2])


@pytest.mark.parametrize("channels", [2, 5, 6])
def test_the_likelihood_is_the_change_of_variables_by_autograds_jacobian(channels):
    flow, codes = drawn_flow(channels)
    features, positions = fibre(channels)
    found = likelihood(flow, codes, features, positions)
    for one, position, value in zip(features, positions.tolist(), found, strict=True):
        code = code_of(codes, position)
        latent, _ = plain_flow(flow.weights, flow, one, code)
        jacobian = torch.autograd.functional.jacobian(lambda x, c=code: plain_flow(flow.weights, flow, x, c)[0], one)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(latent).sum()
        expected = (prior + torch.linalg.slogdet(jacobian).logabsdet) / channels
        assert value.item() == pytest.approx(expected.item(), abs=1e-12)


def test_gradients_equal_autograds():
    flow, codes = drawn_flow()
    features, positions = fibre()
    shape = flow.shape
    into = Parameters(shape, torch.full_like(flow.weights.flat, math.nan))  # whatever was there is replaced
    loss = flow_gradients(flow, features, codes, *codes.locate(positions), into)

    flat = flow.weights.flat.clone().requires_grad_()
    losses = []
    for one, position in zip(features, positions.tolist(), strict=True):
        weights = Parameters(shape, flat)
        code = code_of(codes, position)
        latent, log_determinant = plain_flow(weights, flow, one, code)
        prior = -0.5 * (latent.square() + math.log(2 * math.pi)).sum()
        losses.append(-logsigmoid((prior + log_determinant) / shape.channels))
    expected = torch.stack(losses).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(into.flat, flat.grad, atol=1e-12, rtol=1e-9)
    assert all(part.abs().max() > 1e-4 for part in (into.condition, into.scale, into.offset, *into.first, *into.second))


def test_blocks_start_close_to_a_permutation():
    shape = FlowShape(6, 8, 4, 1.9)
    generator = torch.Generator().manual_seed(0)
    flow = ConditionalFlow(
        shape, initial_parameters(shape, generator), torch.arange(6).flip(0).expand(4, 6).contiguous()
    )
    features = torch.randn(10, 6, generator=generator)
    latents, log_determinants, _ = flow.forward(features, torch.zeros(10, 4 * shape.hidden))
    torch.testing.assert_close(latents, features, atol=0.5, rtol=0)  # four reversals are none
    assert log_determinants.abs().max() < 1


def test_low_precision_gradients_point_where_exact_ones_do():
    shape = FlowShape(16, 8, 4, 1.9)
    generator = torch.Generator().manual_seed(0)
    weights = initial_parameters(shape, generator)
    permutations = torch.stack([torch.randperm(16, generator=generator) for _ in range(4)])
    features, codes = torch.randn(64, 16, generator=generator), PositionCodes(4, 4, 8)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        into = Parameters(shape, torch.zeros_like(weights.flat))
        flow = ConditionalFlow(shape, weights, permutations, dtype)
        flow_gradients(flow, features, codes, *codes.locate(torch.arange(64)), into)
        found.append(into.flat)
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.9999
