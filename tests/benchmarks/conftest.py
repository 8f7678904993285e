"""The generator's fixtures."""

from tests.generation.conftest import settings

__all__ = ["settings"]
