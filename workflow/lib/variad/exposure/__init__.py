"""Outlier exposure: a network fine-tuned on normal against synthetic images, and distances in its embedding space."""
