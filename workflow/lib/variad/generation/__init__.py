"""Varied, text-guided images from a few normal ones: the first document's generator and its controls."""
