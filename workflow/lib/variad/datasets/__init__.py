"""From a folder or a package to a manifest, packed images and a run's few. Imports ``core`` and ``downloads``."""
