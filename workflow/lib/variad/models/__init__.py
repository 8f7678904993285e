"""Networks that carry weights: the VQGAN and its training, and how weights are stored."""
