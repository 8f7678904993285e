import numpy as np
import torch

from variad.networks.training import seeded


def drawn(seed):
    with seeded(np.random.default_rng(seed)) as generator:
        return torch.rand(3, generator=generator).tolist(), torch.nn.Linear(2, 1).weight.tolist()


def test_everything_descends_from_the_seed():
    assert drawn(1) == drawn(1)
    own, weights = drawn(2)
    assert own != drawn(1)[0]
    assert weights != drawn(1)[1]


def test_the_global_generator_is_left_as_it_was():
    state = torch.get_rng_state()
    drawn(1)
    assert torch.equal(torch.get_rng_state(), state)
