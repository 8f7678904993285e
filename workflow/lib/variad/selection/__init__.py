"""Choosing detectors, prompts and recipes without labels, and outlier exposure. Imports up to ``anomalies``."""
