from itertools import pairwise

import pytest
import torch
from torch import nn

from variad.detectors.reverse_distillation_networks import Encoder, Student, StudentWidths

RECTIFIED = (True, True, True)
WIDE_RESNET50 = Encoder((256, 512, 1024), (2, 2), RECTIFIED)
RESNET18 = Encoder((64, 128, 256), (2, 2), RECTIFIED)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "widths", "embedding", "decoder"),
    [
        # anomalib 2.7.0: parameters of get_bottleneck_layer(name), without those of conv4 and bn4, which it never
        # calls (8392704; ResNet-18 525312), and of get_decoder(name)
        (WIDE_RESNET50, StudentWidths("bottleneck", 2, (3, 4, 6), 3, 1), 39222272 - 8392704, 24917504),
        (WIDE_RESNET50, StudentWidths("bottleneck", 1, (3, 4, 6), 3, 1), 39222272 - 8392704, 15821824),
        (RESNET18, StudentWidths("basic", 1, (2, 2, 2), 2, 1), 12205312 - 525312, 3703168),
    ],
    ids=["wide_resnet50_2", "resnet50", "resnet18"],
)
def test_parameters_are_as_many_as_anomalibs(encoder, widths, embedding, decoder):
    student = Student(encoder, widths)
    assert count(student.embedding) == embedding
    assert count(student.decoder) == decoder


def test_shapes_follow_the_papers_encoder():
    student = Student(WIDE_RESNET50, StudentWidths("bottleneck", 2, (1, 1, 1), 1, 2))
    layers = [torch.rand(1, 256, 16, 16), torch.rand(1, 512, 8, 8), torch.rand(1, 1024, 4, 4)]
    with torch.inference_mode():
        assert student.eval().embedding(layers).shape == (1, 2048, 2, 2)
        assert [layer.shape for layer in student(layers)] == [layer.shape for layer in layers]


@pytest.mark.parametrize(
    ("channels", "grids"),
    [
        ((24, 40, 112), (56, 28, 14)),  # EfficientNet-Lite0, stages 2, 3, 5
        ((40, 112), (28, 14)),
        ((112,), (14,)),
        ((5, 6, 7), (9, 9, 5)),  # strides of 1 and 2, odd
        ((6, 10), (28, 7)),  # a stride of 4
        ((6, 10), (27, 13)),  # rounded down by the encoder
    ],
)
@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_any_encoders_widths_and_strides_are_followed(channels, grids, kind):
    strides = tuple(round(a / b) for a, b in pairwise(grids))
    widths = StudentWidths(kind, 2, (2,) * len(grids), 1, 1)
    student = Student(Encoder(channels, strides, (True,) * len(grids)), widths)
    layers = [torch.rand(2, c, n, n) for c, n in zip(channels, grids, strict=True)]
    restored = student(layers)
    assert [layer.shape for layer in restored] == [layer.shape for layer in layers]
    assert all((layer >= 0).all() for layer in restored)


def test_a_level_of_signed_features_restores_signs():
    torch.manual_seed(0)
    student = Student(Encoder((4, 8), (2,), (True, False)), StudentWidths("basic", 1, (2, 1), 1, 1))
    shallow, deep = student([torch.rand(2, 4, 8, 8), torch.randn(2, 8, 4, 4)])
    assert (shallow >= 0).all() and (deep < 0).any()


def test_gradients_reach_every_parameter():
    student = Student(Encoder((4, 8), (2,), (True, True)), StudentWidths("bottleneck", 2, (1, 2), 2, 2))
    sum(layer.square().sum() for layer in student([torch.rand(2, 4, 8, 8), torch.rand(2, 8, 4, 4)])).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
