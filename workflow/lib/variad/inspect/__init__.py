"""A trained detector outside the workflow: bundle, thresholds, regions, ONNX. Imports up to ``report``."""
