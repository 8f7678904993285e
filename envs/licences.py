"""Make docs/licences.md from the lock and from what is installed: ``python envs/licences.py``.

The licence of a package is what the package itself says: its ``License-Expression``, the one line of ``License``, its
trove classifiers, or the first line of the licence file that it brings, the first of these that says something. Nothing
is asked of an index. What the lock has for other systems is not installed here, and the table says so.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from generate import ENVS, Pin, read_lock

TABLE = ENVS.parent / "docs" / "licences.md"
NOT_SAID = "not said by the package"
ELSEWHERE = "for another system"
# what needs a look before anything is shipped or sold; all other licences ask for their text to be kept
TO_LOOK_AT = re.compile(r"NVIDIA|Proprietary|GPL|GNU|CC-BY|Mozilla|MPL", re.I)
HEAD = """# Licences of what is installed

Made by `envs/licences.py` (`make reference`) from `envs/requirements.lock` and from what the installed packages say of
themselves. Nobody has read the licences for you. Variad's own is Apache-2.0; what the data sets and weights of
publishers allow stands in [operations.md](operations.md#downloads).

"""


def main() -> None:
    TABLE.write_text(page(read_lock(ENVS / "requirements.lock")), encoding="utf-8")


def page(pins: list[Pin]) -> str:
    """The text of ``licences.md``."""
    found = {pin.name: (pin.requirement.split(";")[0].split("==")[1].strip(), licence(pin.name)) for pin in pins}
    special = [name for name, (_, said) in found.items() if TO_LOOK_AT.search(said) or said == NOT_SAID]
    text = HEAD + "Look at these before you ship or sell anything that holds them:\n\n"
    text += _table({name: found[name] for name in special})
    return text + f"\nAll {len(found)}:\n\n" + _table(found)


def _table(found: dict[str, tuple[str, str]]) -> str:
    rows = [f"| {name} | {version} | {said} |\n" for name, (version, said) in found.items()]
    return "| package | version | licence |\n| --- | --- | --- |\n" + "".join(rows)


def licence(name: str) -> str:
    """What an installed package says of its licence, in one line."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return ELSEWHERE
    told = package.metadata
    lines = [line for line in (told.get("License") or "").strip().splitlines() if line != "UNKNOWN"]
    classified = [
        classifier.rpartition(" :: ")[2]
        for classifier in told.get_all("Classifier", [])
        if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved")
    ]
    one_line = lines[0] if len(lines) == 1 and len(lines[0]) < 60 and not lines[0].startswith("Copyright") else ""
    files = [file for file in package.files or [] if re.search(r"licen[cs]e", file.name, re.I)]
    first = [line.strip() for file in files[:1] for line in Path(str(file.locate())).read_text("utf-8").splitlines()]
    said = told.get("License-Expression") or one_line or ", ".join(classified) or next(filter(None, first), "")
    return said.replace("|", "/") or NOT_SAID


if __name__ == "__main__":
    main()
