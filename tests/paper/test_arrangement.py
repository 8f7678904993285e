"""The document's own arrangement."""

from variad.paper.comparison import TABLES


def test_tables_are_5_to_15_in_the_documents_order():
    assert list(TABLES) == list(range(5, 16))
    detectors = [TABLES[number].fixed["detector"] for number in range(6, 16)]
    pairs = ["patchcore", "cflow", "reverse_distillation", "efficientad"]
    assert detectors == [name for name in pairs for _ in range(2)] + ["patchcore", "patchcore"]


def test_titles_of_columns_and_blocks():
    objects = "Bottle Cable Capsule Hazelnut Metal-nut Pill Screw Toothbrush Transistor Zipper Avg"
    assert list(TABLES[10].columns.values()) == objects.split()
    assert list(TABLES[13].columns.values()) == ["Carpet", "Grid", "Leather", "Tile", "Wood", "Avg"]
    assert list(TABLES[14].columns.values()) == ["Class-1", "Class-2", "Class-3", "Avg"]
    assert list(TABLES[15].columns) == [
        "breakfast_box",
        "juice_bottle",
        "pushpins",
        "screw_bag",
        "splicing_connectors",
        "average",
    ]
    assert list(TABLES[5].columns.values()) == list(TABLES[6].blocks.values()) == ["One-shot", "Few-shot", "Full-shot"]
    assert list(TABLES[5].blocks.values()) == ["Patchcore", "Cflow", "Reverse-distillation", "Efficient-AD"]


def test_keys_of_a_cell():
    shared = {"dataset": "mvtec_ad", "detector": "cflow", "scenario": "few_shot", "category": "average"}
    assert TABLES[5].keys("cflow", "few_shot") == [
        {**shared, "metric": "image_auroc"},
        {**shared, "metric": "pixel_auroc"},
    ]
    assert TABLES[8].keys("few_shot", "average_object") == [
        {**shared, "category": "average_object", "metric": "image_auroc"}
    ]
