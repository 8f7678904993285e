"""Diffusion models: images to noise and back by DDIM, and edits of the U-Net's bottleneck (h-space) on the way."""
