"""The graph of rules has a box a rule, no line that another way says already, and everything below what it needs."""

from itertools import pairwise

from variad.report.rule_graph import direct, rule_graph

RULES = ["pack", "train", "score", "plot_a", "plot_b", "all", "pack"]  # nodes, as of jobs: `pack` stands twice
SHOWN = {"pack": "pack", "train": "train", "score": "score", "plot_a": "plot", "plot_b": "plot"}
# pack -> train -> score -> both plots; pack -> score is said by way of train
LINKS = [(0, 1), (1, 2), (6, 2), (2, 3), (2, 4), (3, 5), (4, 5)]


def test_a_box_a_rule_and_what_is_needed_stands_above() -> None:
    spec = rule_graph(RULES, LINKS, SHOWN, {"pack": "datasets"})
    boxes = {node["label"]: node for node in spec["data"][0]["values"]}
    assert list(boxes) == ["pack", "train", "score", "plot"]
    heights = [boxes[name]["y"] for name in ("pack", "train", "score", "plot")]
    assert heights == sorted(set(heights))
    assert boxes["plot"]["rule"] == "plot_a"  # a click finds a rule that there is
    assert [boxes[name]["stage"] for name in ("pack", "train")] == ["datasets", "other"]
    assert len(spec["data"][1]["values"]) == 3


def test_a_line_that_another_way_says_is_left_out() -> None:
    needed = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a"}}
    assert direct(needed, ["a", "b", "d", "c"]) == {"a": [], "b": ["a"], "d": ["a"], "c": ["b"]}


def test_boxes_of_a_line_do_not_touch_and_stay_inside() -> None:
    names = [f"rule number {number}" for number in range(7)]
    spec = rule_graph(names, [(0, number) for number in range(1, 7)], {name: name for name in names}, {})
    boxes = sorted((node for node in spec["data"][0]["values"]), key=lambda node: (node["y"], node["x"]))
    for left, right in pairwise(boxes[1:]):
        assert left["x"] + left["width"] / 2 < right["x"] - right["width"] / 2
    assert all(n["x"] - n["width"] / 2 >= 0 and n["x"] + n["width"] / 2 <= spec["width"] for n in boxes)
    assert max(node["y"] for node in boxes) < spec["height"]


def test_rules_that_need_each_other_and_none_at_all_are_drawn() -> None:
    spec = rule_graph(["a", "b"], [(0, 1), (1, 0)], {"a": "a", "b": "b"}, {})
    assert [node["label"] for node in spec["data"][0]["values"]] == ["a", "b"]
    assert rule_graph(["all"], [], {}, {})["data"][0]["values"] == []
