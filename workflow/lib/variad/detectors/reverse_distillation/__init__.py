"""Reverse Distillation: a student that restores a frozen teacher's features."""

from variad.detectors.reverse_distillation.detector import ReverseDistillation

__all__ = ["ReverseDistillation"]
