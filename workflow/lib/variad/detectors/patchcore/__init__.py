"""PatchCore: distance of every patch to a memory bank of normal ones."""

from variad.detectors.patchcore.detector import PatchCore

__all__ = ["PatchCore"]
