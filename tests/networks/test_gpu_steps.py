"""What keeps a GPU busy, where there is none: the order of things, and that steps can be recorded at all."""

import threading

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from variad.detectors import cflow, efficientad, reverse_distillation
from variad.networks import gpu_steps
from variad.networks.gpu_steps import WARM_UP, ReplayedStep, constant, made_ahead, workers
from variad.networks.training import FusedAdam


def test_results_come_in_order_whoever_is_ready_first():
    second_is_made = threading.Event()

    def make(number):
        if number == 0:
            assert second_is_made.wait(10)
        second_is_made.set()
        return number * number

    assert list(made_ahead(make, range(20), 2)) == [number * number for number in range(20)]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_what_is_drawn_does_not_depend_on_threads(threads):
    generator = np.random.default_rng(7)
    drawn = (generator.integers(1000) for _ in range(40))
    wanted = np.random.default_rng(7).integers(1000, size=40).tolist()
    assert list(made_ahead(int, drawn, threads)) == wanted


def test_threads_stay_a_few_items_ahead_and_end_with_the_caller():
    taken = []
    made = made_ahead(lambda item: item, (taken.append(number) or number for number in range(1000)), 2)
    assert next(made) == 0
    assert len(taken) <= 2 * gpu_steps.AHEAD + 1
    before = threading.active_count()
    made.close()
    assert threading.active_count() < before
    assert len(taken) <= 2 * gpu_steps.AHEAD + 1


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_where_its_result_would_have(threads):
    made = made_ahead(lambda number: 1 / number, [2, 1, 0], threads)
    assert [next(made), next(made)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_a_cpu_makes_nothing_ahead_and_a_gpu_leaves_a_core():
    assert workers("cpu") == 0
    assert 1 <= workers("cuda") <= gpu_steps.MOST_WORKERS


def test_a_constant_is_made_once_and_can_be_differentiated_through():
    with torch.inference_mode():
        first = constant((1.0, 2.0), torch.device("cpu"))
    assert constant((1.0, 2.0), torch.device("cpu")) is first
    given = torch.ones(2, requires_grad=True)
    (given * first).sum().backward()
    assert given.grad.tolist() == [1, 2]


class Played:
    """Stands for a recorded graph: it has places for its arguments, and does the step again."""

    made = 0

    def __init__(self, step, given, stream):
        Played.made += 1
        self.step, self.given = step, [tensor.clone() for tensor in given]

    def replay(self, given):
        for place, tensor in zip(self.given, given, strict=True):
            place.copy_(tensor)
        return self.step(*self.given).detach().clone()


@pytest.fixture
def simulated(monkeypatch):
    """A GPU whose steps are recorded, on a machine that has none."""
    Played.made = 0
    monkeypatch.setattr(gpu_steps, "is_cuda", lambda device: True)
    monkeypatch.setattr(gpu_steps, "Recorded", Played)
    monkeypatch.setattr(gpu_steps, "launched", lambda step, given, stream: step(*given))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)


def test_every_call_is_one_step_and_every_shape_is_recorded_once(simulated):
    counter = torch.zeros(())
    step = ReplayedStep(lambda values: counter.add_(values.sum()).clone(), "cpu")
    found = [step(torch.full((size,), 1.0)).item() for size in [2, 3] * (WARM_UP + 2)]
    assert found == np.cumsum([2, 3] * (WARM_UP + 2)).tolist()
    assert Played.made == len(step.graphs) == 2


def test_a_few_steps_are_never_recorded(simulated):
    step = ReplayedStep(lambda values: values.sum(), "cpu")
    assert [step(torch.ones(2)).item() for _ in range(WARM_UP)] == [2.0] * WARM_UP
    assert not step.graphs


def test_a_cpu_records_nothing():
    step = ReplayedStep(lambda values: values * 2, "cpu")
    assert [step(torch.ones(1)).item() for _ in range(WARM_UP + 3)] == [2.0] * (WARM_UP + 3)
    assert not step.graphs


@pytest.mark.parametrize("rate", [0.0, torch.zeros(())], ids=["of a CPU", "of a GPU"])
def test_the_learning_rate_can_change_between_steps(rate):
    weight = torch.ones(1, requires_grad=True)
    adam = FusedAdam([weight], 0.5)
    adam._rate, adam.learning_rate = rate, 0.5
    weight.grad = torch.ones(1)
    adam.step()
    adam.learning_rate *= 0.1
    weight.grad = torch.ones(1)
    adam.step()
    assert adam.learning_rate == pytest.approx(0.05)
    assert weight.item() == pytest.approx(1 - 0.5 - 0.05, abs=1e-6)


class Watched(TorchDispatchMode):
    """Writes down every operation with its arguments that are no tensors, and the shapes of those that are."""

    def __init__(self):
        super().__init__()
        self.log = []

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        named = named or {}
        flat = torch.utils._pytree.tree_flatten((arguments, named))[0]
        numbers = [part.shape if isinstance(part, torch.Tensor) else part for part in flat]
        if "fused_adam" in str(operation):  # its learning rate is a number on a CPU, a tensor on a GPU
            numbers = []
        self.log.append((str(operation), numbers))
        return operation(*arguments, **named)


class WatchedStep(ReplayedStep):
    """Keeps the operations of each call."""

    logs: list

    def __call__(self, *given):
        with Watched() as seen:
            found = super().__call__(*given)
        WatchedStep.logs.append(([tensor.shape for tensor in given], seen.log))
        return found


def features(images, seed):
    draw = np.random.default_rng(seed)
    sizes = ((8, 6), (4, 8), (4, 10))
    layers = {f"layer{number}": draw.random((images, side, side, width)) for number, (side, width) in enumerate(sizes)}
    return {layer: values.astype(np.float32) for layer, values in layers.items()}


def train_cflow():
    detector = cflow.CFlow(epochs=2, fiber_batch_size=32, coupling_blocks=2, condition_size=8)
    detector.fit(cflow.DetectorInput(features(3, 0)), np.random.default_rng(0))


def train_reverse_distillation():
    detector = reverse_distillation.ReverseDistillation(
        epochs=3, batch_size=2, block="basic", blocks=[1, 1, 1], embedding_blocks=1
    )
    detector.fit(reverse_distillation.DetectorInput(features(4, 0)), np.random.default_rng(0))


def train_efficientad(views, penalty, autoencoder):
    from variad.detectors.efficientad_networks import StudentAndAutoencoder
    from variad.networks.pdn import PDN, PDNConfig, output_side

    config = PDNConfig("small", 0.05)
    settings = efficientad.EfficientADSettings(
        steps=6, views=views, penalty=penalty, autoencoder=autoencoder, precision="float32"
    )
    answers = efficientad.TeacherAnswers(PDN(config), torch.zeros(config.channels), torch.ones(config.channels))
    side = output_side(64)
    efficientad.EfficientADTraining(
        StudentAndAutoencoder(config, 64, autoencoder),
        answers,
        torch.rand(3, 3, 64, 64),
        torch.rand(3, side, side, config.channels),
        settings,
        torch.Generator(),
        np.random.default_rng(0),
    ).run()


TRAININGS = {
    "cflow": (cflow, train_cflow),
    "reverse_distillation": (reverse_distillation, train_reverse_distillation),
    "efficientad": (efficientad, lambda: train_efficientad(None, "photographs", True)),
    "efficientad, views of a bank": (efficientad, lambda: train_efficientad(4, "none", True)),
    "efficientad, no autoencoder": (efficientad, lambda: train_efficientad(None, "photographs", False)),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_step_is_the_same_operations_whatever_the_numbers(name, monkeypatch):
    """Else a replay would do what another step's numbers, or Python, had decided."""
    module, train = TRAININGS[name]
    WatchedStep.logs = []
    monkeypatch.setattr(module, "ReplayedStep", WatchedStep)
    train()
    steps = {}
    for shapes, log in WatchedStep.logs:
        steps.setdefault(str((shapes, log[0])), []).append(log)
    assert steps
    for several in steps.values():
        assert len(several) > 1
        for log in several[2:]:  # the first makes constants
            assert log == several[1]
    for operation, _ in (entry for several in steps.values() for log in several[1:] for entry in log):
        # a number that Python waits for, or one that it hands over: neither can be recorded
        assert not operation.startswith(("aten._local_scalar_dense", "aten.item", "aten.nonzero", "aten.lift_fresh"))
