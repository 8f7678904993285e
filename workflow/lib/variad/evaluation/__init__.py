"""From scores and maps to numbers: metrics, intervals, averages, gains. Imports the rooms up to ``networks``."""
