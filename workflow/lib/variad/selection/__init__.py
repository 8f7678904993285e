"""Choosing detectors and prompts without labels: ranked by synthetic anomalies, then judged by real ones."""
