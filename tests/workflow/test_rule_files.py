"""The files of the rules: each path is typed once, where it is made, and every rule can be read at a glance."""

import re
from collections import Counter
from statistics import median

from tests.rule_packages import ROOT

FILES = [ROOT / "workflow" / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FILES}


def rule_lengths() -> list[int]:
    """Lines of every rule, from its first to the last of its body, without comments and empty ones."""
    rules = re.compile(r"^( *)(?:rule ?\w*|use rule .* with):\n((?:\1 +.*\n|\n)*)", re.M)
    bodies = [found[2] for text in TEXTS.values() for found in rules.finditer(text)]
    return [1 + sum(bool(line.strip()) and line.strip()[0] != "#" for line in body.splitlines()) for body in bodies]


def test_every_path_is_typed_once() -> None:
    paths = Counter(
        path for text in TEXTS.values() for path in re.findall(r'f?"((?:results|resources/downloads)/[^"\s]*)"', text)
    )
    assert len(paths) > 100
    assert [path for path, times in paths.items() if times > 1] == []


def test_rules_are_short() -> None:
    lengths = rule_lengths()
    assert len(lengths) > 75
    assert median(lengths) <= 15


def test_memory_grows_with_every_attempt() -> None:
    """A job that a cluster killed for its memory would be killed again, if it asked for the same."""
    asked = [line.strip() for text in TEXTS.values() for line in text.splitlines() if "mem_mb" in line]
    assert asked == ['return {"mem_mb": lambda wildcards, attempt: megabytes * attempt}']
