"""Settings of EfficientAD and their check."""

from dataclasses import dataclass
from typing import Any

from variad.errors import UserError

PRECISIONS = ("float32", "bfloat16")
BORDERS = ("nearest", "zero")


@dataclass(frozen=True)
class EfficientADSettings:
    """The defaults are the paper's (Batzner et al., WACV 2024) but for ``penalty``, ``border`` and ``precision``.

    Attributes:
        steps, batch: optimiser steps, and images in a step.
        learning_rate, weight_decay: of Adam; the rate falls to a tenth after 95 % of the steps.
        hard_features: part of the squared differences that the student's loss leaves out, 0.999.
        penalty: images on which the student is to answer nothing: ``photographs`` (bundled), a folder (the paper's are
            ImageNet's), or ``none``.
        views: None computes the teacher's answer to each random view; a number draws the views from so many that are
            made, and answered, before the training.
        held_out: part of the training images that the maps' scale is measured on instead, at least one of them; with 0,
            and with a single image, it is measured on the images that were trained on.
        autoencoder: whether there is one, with its map and the student's second half. Without it (the paper's ablation)
            a training of a few hundred steps is not spoilt by an autoencoder that has not learned yet.
        border: what the 4 positions around the map get, where the networks without padding say nothing: the value of
            the ``nearest`` position, so that no defect at the border is lost, or ``zero``, as in the paper.
        precision: of the networks' products in training and scoring, ``float32`` or ``bfloat16``.
        patience: hundredths of ``steps`` without progress of the loss after which training stops; None never stops.
    """

    steps: int = 70_000
    batch: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    hard_features: float = 0.999
    penalty: str = "photographs"
    views: int | None = None
    held_out: float = 0.1
    autoencoder: bool = True
    border: str = "nearest"
    precision: str = "bfloat16"
    patience: int | None = None

    def __post_init__(self) -> None:
        for key in ("steps", "batch"):
            _check(key, _is_count(getattr(self, key)), "a whole number of at least 1", getattr(self, key))
        for key in ("views", "patience"):
            value = getattr(self, key)
            _check(key, value is None or _is_count(value), "null or a whole number of at least 1", value)
        for key in ("learning_rate", "weight_decay"):
            value = getattr(self, key)
            _check(key, _is_number(value) and value >= 0, "a number of at least 0", value)
        for key in ("hard_features", "held_out"):
            value = getattr(self, key)
            _check(key, _is_number(value) and 0 <= value < 1, "a number in [0, 1)", value)
        for key, known in (("border", BORDERS), ("precision", PRECISIONS)):
            _check(key, getattr(self, key) in known, " or ".join(known), getattr(self, key))
        _check("autoencoder", isinstance(self.autoencoder, bool), "true or false", self.autoencoder)
        _check("penalty", isinstance(self.penalty, str), "'photographs', 'none' or a folder", self.penalty)


def _check(key: str, good: bool, expected: str, found: Any) -> None:
    if not good:
        raise UserError(f"efficientad.{key}: expected {expected}, found {found!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
