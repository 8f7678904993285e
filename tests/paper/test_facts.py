"""Printed values by our names, and every one of them once in the tables."""

import math

import pytest

from variad.core.errors import UserError
from variad.paper.comparison import KEY, TABLES, Facts


def key(*values):
    return dict(zip(KEY, values, strict=True))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("mvtec_ad", "patchcore", "one_shot", "original", "average", "image_auroc"), 76.9),
        (("mvtec_ad", "patchcore", "one_shot", "original", "average", "pixel_auroc"), 90.8),
        (("mvtec_ad", "patchcore", "few_shot", "generated", "average", "image_auroc"), 91.4),
        (("mvtec_ad", "patchcore", "full_shot", "gain", "average", "pixel_auroc"), 0.1),
        (("mvtec_ad", "average", "few_shot", "gain", "average", "pixel_auroc"), 16.5),
        (("mvtec_ad", "efficientad", "one_shot", "gain", "average", "image_auroc"), 5.8),
        (("mvtec_ad", "efficientad", "one_shot", "gain", "leather", "image_auroc"), -11.0),
        (("mvtec_ad", "reverse_distillation", "one_shot", "gain", "average_texture", "image_auroc"), 46.3),
        (("btad", "patchcore", "one_shot", "gain", "average", "image_auroc"), 10.1),
        (("mvtec_loco", "patchcore", "one_shot", "generated", "juice_bottle", "image_auroc"), 71.2),
    ],
)
def test_values_of_the_document(facts, where, expected):
    assert facts.printed(key(*where))[0] == expected


def test_deviation_of_a_value_and_none_of_an_average(facts):
    assert facts.printed(key("btad", "patchcore", "one_shot", "original", "01", "image_auroc")) == (72.2, 7.2)
    assert math.isnan(facts.printed(key("btad", "patchcore", "one_shot", "original", "average", "image_auroc"))[1])


def test_what_is_not_printed_is_nan(facts):
    assert math.isnan(facts.printed(key("btad", "cflow", "one_shot", "gain", "01", "image_auroc"))[0])


def test_every_published_value_has_one_place_in_the_tables(facts):
    places = [
        tuple({**found, "source": source}[name] for name in KEY)
        for table in TABLES.values()
        for block in table.blocks
        for column in table.columns
        for found in table.keys(block, column)
        for source in ("original", "generated")
    ]
    assert len(places) == len(set(places)) == len(facts.auroc)
    assert not any(math.isnan(facts.printed(dict(zip(KEY, place, strict=True)))[0]) for place in places)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"auroc\.csv"):
        Facts(tmp_path)
