"""EfficientAD: a student that predicts a small teacher, and an autoencoder."""

from variad.detectors.efficientad.detector import EfficientAD

__all__ = ["EfficientAD"]
