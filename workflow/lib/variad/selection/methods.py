"""The methods of candidate sets by name, apart from what they import: the config's check needs no more than this."""

from pathlib import Path

# what a method's candidates are, and the module that makes them: imported by name, so that an edit to one of them, or
# to what it imports, does not rerun the others
METHODS = {
    "neighbours": ("detector", "variad.selection.open_neighbours"),
    "detectors": ("detector", "variad.selection.open_detectors"),
    "templates": ("prompt", "variad.selection.open_templates"),
}


def kind_of(method: str) -> str:
    """``detector`` or ``prompt``: candidates of one kind compete with each other."""
    return METHODS[method][0]


def method_module(method: str) -> Path:
    """The file that the candidates of a method are made in."""
    return Path(__file__).parents[2].joinpath(*METHODS[method][1].split(".")).with_suffix(".py")
