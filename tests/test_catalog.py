"""What the Snakemake workflow catalog is told of this repository, compared with the repository."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import yaml

from .rule_packages import ROOT, rules_with_scripts

LIBRARY = ROOT / "workflow/lib"
RULE_FILES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
USAGE = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8"))["usage"]
SNAKEMAKES_OWN = {"snakemake", "yaml", "jsonschema"}


def modules_read_with_the_workflow() -> set[str]:
    """Packages that the rule files import, and the modules of the library that these do, at their tops."""
    texts = [path.read_text("utf-8") for path in RULE_FILES]
    waiting = [name for text in texts for name in re.findall(r"^(?:from|import) ([\w.]+)", text, re.M)]
    found, read = set(), set()
    while waiting:
        name = waiting.pop()
        path = LIBRARY / f"{name.replace('.', '/')}.py"
        path = path if path.is_file() else path.with_suffix("") / "__init__.py"
        if not name.startswith("variad"):
            found.add(name.split(".")[0])
        elif path.is_file() and path not in read:
            read.add(path)
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.Import):
                    waiting += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert len(read) > 20
    return found - sys.stdlib_module_names


def test_standardized_usage_finds_what_it_asks_for():
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/config.yaml").is_file() and (ROOT / "config/README.md").is_file()
    readme = (ROOT / "README.md").read_text("utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme, "the catalog looks for both words"


def test_the_file_has_the_keys_that_the_catalog_reads():
    assert set(USAGE) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(USAGE["mandatory-flags"]) == {"desc", "flags"}
    assert set(USAGE["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}


def test_what_it_says_of_deployment_holds():
    said = USAGE["software-stack-deployment"]
    assert said["conda"] is all(rule.conda for rule in rules_with_scripts())
    contained = any(re.search(r"^\s*container(ized)?:", path.read_text("utf-8"), re.M) for path in RULE_FILES)
    assert said["apptainer"] is said["apptainer+conda"] is contained
    assert USAGE["report"] is bool(re.search(r"^report:", RULE_FILES[0].read_text("utf-8"), re.M))


def test_it_names_the_packages_that_reading_the_workflow_takes():
    needed = {
        packages_distributions()[module][0].lower() for module in modules_read_with_the_workflow() - SNAKEMAKES_OWN
    }
    said = re.search(r"runs in needs (.*?), which", USAGE["mandatory-flags"]["desc"])
    assert said and set(re.split(r", | and ", said[1])) == needed


def test_paths_that_it_names_are_there():
    text = (ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8")
    named = re.findall(r"(?:workflow|config|envs)/[\w./]+\w", text)
    assert len(named) >= 5 and [path for path in named if not (ROOT / path).exists()] == []
