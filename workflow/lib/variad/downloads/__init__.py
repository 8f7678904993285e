"""Published data sets and weights on this machine: fetched, verified, unpacked without harm. Imports ``core``."""
