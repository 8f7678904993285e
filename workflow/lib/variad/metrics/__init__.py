"""Measures of how well anomaly scores and anomaly maps separate normal from anomalous."""
