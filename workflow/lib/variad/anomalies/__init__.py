"""Synthetic anomalies made from a few normal images, and the file format that all of their sources share."""
