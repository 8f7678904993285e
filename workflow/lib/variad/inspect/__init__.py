"""A trained model on the line: bundles, scores, answers, regions, pages. Imports up to ``report``."""
