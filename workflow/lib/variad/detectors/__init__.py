"""The four detectors, and what fits, scores and sets a threshold with any of them. Imports up to ``generation``."""
