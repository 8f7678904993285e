"""A study before it runs: its config, checked whole, and what it will cost. Imports every other room."""
