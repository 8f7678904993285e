"""Synthetic anomalies from a few normal images, by diffusion models or without. Imports up to ``detectors``."""
