"""Variad: text-guided variational image generation for industrial anomaly detection from few images.

The rooms, in the order in which they may import each other, each only those before it: ``core``, ``downloads``,
``datasets``, ``networks``, ``evaluation``, ``generation``, ``detectors``, ``anomalies``, ``selection``,
``report``, ``inspect``, ``paper``, ``study``.
"""

ROOMS = (
    "core",
    "downloads",
    "datasets",
    "networks",
    "evaluation",
    "generation",
    "detectors",
    "anomalies",
    "selection",
    "report",
    "inspect",
    "paper",
    "study",
)
