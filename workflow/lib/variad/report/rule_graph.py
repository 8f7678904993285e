"""The graph of rules in Snakemake's report: a box a rule, in the order in which data flows, and no line twice."""

from collections.abc import Mapping, Sequence
from typing import Any

BOX_HEIGHT, LAYER, GAP, LETTER = 24, 62, 14, 6.6  # pixels
MARGIN = 10
NOT_NAMED = "other"
# Okabe and Ito's, light enough for black letters
COLOURS = ["#9ad1f5", "#ffd28a", "#8fdcc0", "#f3b3d4", "#f4ee9a", "#f2a880", "#c9ced4", "#b7c4f0", "#d8c6a8", "#e3e6ea"]


def rule_graph(
    rules: Sequence[str], links: Sequence[tuple[int, int]], shown: Mapping[str, str], stages: Mapping[str, str]
) -> dict[str, Any]:
    """A drawing for Vega 5; a click on a box finds the rule's name under ``rule``, as in Snakemake's own graph.

    Args:
        rules: a name a node; nodes of the same box are one.
        links: from the node that makes something to the one that needs it, by number.
        shown: the text of each rule's box; rules with the same text share a box, those without one are left out.
        stages: the stage of each rule, which has a colour.
    """
    boxes = {text: rule for rule, text in reversed([(rule, shown[rule]) for rule in rules if rule in shown])}
    ends = [(rules[source], rules[target]) for source, target in links]
    needed: dict[str, set[str]] = {text: set() for text in boxes}
    for source, target in ends:
        if source in shown and target in shown and shown[source] != shown[target]:
            needed[shown[target]].add(shown[source])
    order = _in_order(needed)
    places = _places(order, direct(needed, order))
    width = 2 * MARGIN + max((x + _width(text) / 2 for text, (x, _) in places.items()), default=0.0)
    stage_of = {text: stages.get(rule, NOT_NAMED) for text, rule in boxes.items()}
    names = list(dict.fromkeys(stage_of[text] for text in order))
    nodes = [
        {"rule": boxes[text], "label": text, "stage": stage_of[text], "x": x, "y": y, "width": _width(text)}
        for text, (x, y) in places.items()
    ]
    curves = [_curve(places[source], places[target]) for target, of in direct(needed, order).items() for source in of]
    height = max((y for _, y in places.values()), default=0) + BOX_HEIGHT + MARGIN
    return _vega(nodes, curves, names, (width, height))


def _in_order(needed: Mapping[str, set[str]]) -> list[str]:
    """All boxes, each after those that it needs; Snakemake's graph of jobs has no cycle, one of rules may have."""
    order: list[str] = []
    left = dict(needed)
    while left:
        ready = [text for text, of in left.items() if not (of - {text}) & left.keys()] or [min(left)]
        order += ready
        for text in ready:
            del left[text]
    return order


def direct(needed: Mapping[str, set[str]], order: Sequence[str]) -> dict[str, list[str]]:
    """What each box needs that nothing else that it needs has needed already.

    Args:
        order: all boxes, each after those that it needs.
    """
    before: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {}
    for text in order:
        mine = {source for source in needed[text] if source in before}
        behind = set[str]().union(*(before[source] for source in mine))
        before[text] = mine | behind
        found[text] = sorted(mine - behind, key=order.index)
    return found


def _places(order: Sequence[str], needed: Mapping[str, list[str]]) -> dict[str, tuple[float, float]]:
    """The middle of each box: a line below the last that it needs, about under them."""
    line: dict[str, int] = {}
    for text in order:
        line[text] = 1 + max((line[source] for source in needed[text]), default=-1)
    for text in reversed(order):  # what is needed late stands beside the others of that time
        after = [line[target] for target in order if text in needed[target]]
        line[text] = max(line[text], min(after) - 1) if after else line[text]
    lines = [[text for text in order if line[text] == number] for number in range(max(line.values(), default=-1) + 1)]
    widest = max((sum(_width(text) + GAP for text in row) for row in lines), default=0.0)
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(lines):
        above = {text: [places[source][0] for source in needed[text] if source in places] for text in row}
        row.sort(key={text: sum(xs) / len(xs) if xs else widest / 2 for text, xs in above.items()}.__getitem__)
        left = MARGIN + (widest - sum(_width(text) + GAP for text in row)) / 2
        for text in row:
            places[text] = (left + _width(text) / 2, MARGIN + BOX_HEIGHT / 2 + LAYER * number)
            left += _width(text) + GAP
    return places


def _width(text: str) -> float:
    return LETTER * len(text) + 18


def _curve(source: tuple[float, float], target: tuple[float, float]) -> dict[str, str]:
    (x, y), (u, v) = source, target
    top, bottom = y + BOX_HEIGHT / 2, v - BOX_HEIGHT / 2
    middle = (top + bottom) / 2
    return {"path": f"M{x:g},{top:g}C{x:g},{middle:g},{u:g},{middle:g},{u:g},{bottom:g}"}


def _vega(
    nodes: list[dict[str, Any]], curves: list[dict[str, str]], stages: list[str], size: tuple[float, float]
) -> dict[str, Any]:
    at = {"x": {"field": "x"}, "y": {"field": "y"}}
    box = {
        "xc": {"field": "x"},
        "yc": {"field": "y"},
        "width": {"field": "width"},
        "height": {"value": BOX_HEIGHT},
        "cornerRadius": {"value": 6},
        "fill": {"scale": "colour", "field": "stage"},
        "cursor": {"value": "pointer"},
        "tooltip": {"value": "What this rule reads, writes and runs"},
    }
    words = {
        **at,
        "text": {"field": "label"},
        "align": {"value": "center"},
        "baseline": {"value": "middle"},
        "fontSize": {"value": 12},
        "fill": {"value": "#111111"},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "description": "The rules of the workflow, from the top to the bottom in the order in which data flows.",
        "width": size[0],
        "height": size[1],
        "padding": 5,
        "data": [{"name": "rules", "values": nodes}, {"name": "lines", "values": curves}],
        "scales": [{"name": "colour", "type": "ordinal", "domain": stages, "range": COLOURS}],
        "legends": [{"fill": "colour", "symbolType": "square", "symbolSize": 160, "labelFontSize": 12}],
        "marks": [
            {
                "type": "path",
                "from": {"data": "lines"},
                "interactive": False,
                "encode": {
                    "enter": {
                        "path": {"field": "path"},
                        "stroke": {"value": "#8b949e"},
                        "strokeWidth": {"value": 1.2},
                        "fill": {"value": "transparent"},
                    }
                },
            },
            {"type": "rect", "from": {"data": "rules"}, "encode": {"enter": box}},
            {"type": "text", "from": {"data": "rules"}, "interactive": False, "encode": {"enter": words}},
        ],
    }
