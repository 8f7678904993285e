"""Which packages a rule's script imports, and which its conda environment holds, read from the files alone."""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from variad.core.provenance import library_files

ROOT = Path(__file__).resolve().parents[1]
# Imports inside functions of modules that scripts of every environment share, and the name whose use triggers them.
# `choose_device` imports torch only when the job was given a GPU, which the `gpu` among a rule's resources says.
ONLY_WHEN_USED = {
    ("seeding.py", "torch"): "torch_generator",
    ("job.py", "torch"): "gpu",
    ("devices.py", "torch"): "gpu",
}


@dataclass(frozen=True)
class Rule:
    """A rule that runs a script, with the file name of its conda environment (empty when it names none)."""

    name: str
    script: Path
    conda: str
    asks_for_gpu: bool


def rules_with_scripts() -> list[Rule]:
    """Every rule of the workflow that has a ``script:``; those that a loop makes, once."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
    blocks = [block for text in texts for block in re.split(r"^(?= *rule(?: \w+)?:)", text, flags=re.M)]
    return [rule for block in blocks if (rule := _rule(block))]


def _rule(block: str) -> Rule | None:
    name, script = re.match(r" *rule ?(\w*):", block), re.search(r'^ +script:\s+"([^"]+)"', block, re.M)
    if not name or not script:
        return None
    file, conda = Path(script[1]), re.search(r'^ +conda:\s+"([^"]+)"', block, re.M)
    asks_for_gpu = "**gpu_job(" in block
    return Rule(name[1] or file.stem, ROOT / "scripts" / file.name, Path(conda[1]).name if conda else "", asks_for_gpu)


def imported_packages(rule: Rule) -> dict[str, set[str]]:
    """Top-level modules that a rule needs from packages, and the files that import each."""
    files = [rule.script, *library_files(rule.script)]
    used = {name for path in files if path.name != "seeding.py" for name in _imported_names(path)}
    used |= {"gpu"} if rule.asks_for_gpu else set()
    found: dict[str, set[str]] = {}
    for path in files:
        for module in _imports_of(path) - {"variad"} - sys.stdlib_module_names:
            if ONLY_WHEN_USED.get((path.name, module)) in used | {None}:
                found.setdefault(module, set()).add(path.name)
    return found


def _imported_names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}


def _imports_of(path: Path) -> set[str]:
    modules: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), str(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            modules.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split(".")[0])
        waiting.extend(ast.iter_child_nodes(node))
    return modules
