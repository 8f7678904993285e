import pytest

from variad.networks.training import Plateau


def stopped_after(plateau, losses):
    return next((count for count, loss in enumerate(losses, start=1) if plateau.reached(loss)), None)


@pytest.mark.parametrize(
    ("losses", "count"),
    [
        ([3, 2, 1.99, 1.985, 1], 4),  # two in a row within a hundredth of the best
        ([3, 2, 1.99, 1.9, 1.89, 1.885], 6),  # progress starts the count again
        ([-1, -1.5, -1.505, -1.51], 4),  # log-likelihoods have losses below zero
        ([3, 2, 1, 0.5], None),
    ],
)
def test_it_stops_when_the_loss_no_longer_falls(losses, count):
    assert stopped_after(Plateau(patience=2), losses) == count


def test_without_patience_it_never_stops():
    assert stopped_after(Plateau(None), [1.0] * 100) is None
