"""CFlow: a normalising flow a layer, conditioned on position."""

from variad.detectors.cflow.detector import CFlow

__all__ = ["CFlow"]
