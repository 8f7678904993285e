"""A trained detector at work, without the workflow: bundles, scores, answers, pages. Imports up to ``report``."""
