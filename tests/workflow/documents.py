"""The code in the documents, for tests that run it as it stands there."""

import re

from .running import ROOT


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of ``docs/{document}.md`` in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / f"docs/{document}.md").read_text("utf-8"), re.S)
