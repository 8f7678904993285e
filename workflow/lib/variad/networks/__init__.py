"""The networks: backbones, encoders, VQGAN and diffusion models, how they load, and how those that ship were trained.

Imports the rooms before it: ``core``, ``downloads``, ``datasets``.
"""
