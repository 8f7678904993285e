"""The first document's tables and figures, ours beside the published ones. Imports up to ``report``."""
