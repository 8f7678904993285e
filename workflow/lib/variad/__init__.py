"""Variad: text-guided variational image generation for industrial anomaly detection from few images."""

__version__ = "0.1.0"
