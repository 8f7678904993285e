"""From a class name and a few shots to more normal images: prompts and recipes. Imports up to ``evaluation``."""
