"""Each known inconsistency is noted where it is, with numbers worked out by hand, and nowhere else."""

import dataclasses

import pytest

from variad.paper.footnotes import footnotes

CHANCE = "No better than chance (50)."
AVERAGES = ("average", "average_object", "average_texture")
GAIN_OVER_CHANCE = "Over a baseline that is no better than chance (50)."


def table_5(detector, scenario, source, metric="image_auroc"):
    return ("mvtec_ad", detector, scenario, source, "average", metric)


def tables(first, second, value):
    return f"Tables {first} and {second} give {value} as the mean of their 15 categories."


@pytest.mark.parametrize(
    ("detector", "scenario", "numbers", "original", "generated", "gain"),
    [
        ("cflow", "one_shot", (8, 9), "72.28", "82.97", "+10.69"),
        ("reverse_distillation", "few_shot", (10, 11), "46.20", "87.69", "+41.49"),
        ("reverse_distillation", "full_shot", (10, 11), "83.45", "95.82", "+12.37"),
        ("efficientad", "one_shot", (12, 13), None, "71.75", "+6.20"),
        ("efficientad", "full_shot", (12, 13), "93.61", "94.42", "+0.81"),
    ],
)
def test_table_5_against_the_tables_by_category(notes, detector, scenario, numbers, original, generated, gain):
    for source, value in (("original", original), ("generated", generated), ("gain", gain)):
        found = " ".join(notes.get(table_5(detector, scenario, source), []))
        if value is None:
            assert "Tables" not in found
        else:
            assert tables(*numbers, value) in found


def test_no_other_value_of_table_5_disagrees_with_the_tables_by_category(notes):
    noted = {key[1:3] for key, texts in notes.items() if any(text.startswith("Tables") for text in texts)}
    assert noted == {
        ("cflow", "one_shot"),
        ("reverse_distillation", "few_shot"),
        ("reverse_distillation", "full_shot"),
        ("efficientad", "one_shot"),
        ("efficientad", "full_shot"),
    }


def test_mean_of_cflow_by_hand(facts):
    """Tables 8 and 9, one-shot: ten objects and five textures of the baseline."""
    objects = [93.7, 57.8, 71.5, 90.5, 60.1, 68.6, 54.6, 68.3, 61.8, 52.3]
    textures = [88.2, 33.9, 92.7, 94.0, 96.2]
    rows = facts.auroc[(facts.auroc["detector"] == "cflow") & (facts.auroc["scenario"] == "one_shot")]
    rows = rows[(rows["source"] == "original") & ~rows["category"].str.startswith("average")]
    assert sorted(rows["mean_percent"]) == sorted(objects + textures)
    assert sum(objects + textures) / 15 == pytest.approx(72.28)


def test_efficientad_repeats_a_number(notes):
    (text,) = notes[table_5("efficientad", "one_shot", "generated")]
    assert text.endswith(" The same number stands as the few-shot baseline.")
    assert sum("same number" in text for texts in notes.values() for text in texts) == 1


def test_gains_that_are_not_the_difference_of_their_values(notes):
    found = {key: text for key, texts in notes.items() for text in texts if text.startswith("The ")}
    assert found == {
        table_5("reverse_distillation", "few_shot", "gain"): "The two values above differ by +33.6.",
        table_5("efficientad", "one_shot", "gain"): "The two values above differ by +5.7.",
        table_5("average", "one_shot", "gain", "pixel_auroc"): "The values above give a mean gain of +18.5.",
    }


def test_baselines_at_chance(notes):
    expected = {("image_auroc", scenario, category) for scenario in ("one_shot", "few_shot") for category in AVERAGES}
    expected |= {("pixel_auroc", scenario, "average") for scenario in ("one_shot", "few_shot")}
    for text, source in ((CHANCE, "original"), (GAIN_OVER_CHANCE, "gain")):
        found = {(key[5], key[2], key[4]) for key, texts in notes.items() if text in texts}
        assert found == expected
        noted = {key[1] + key[3] for key, texts in notes.items() if text in texts}
        assert noted == {"reverse_distillation" + source}


def test_patchcore_baseline_equals_a_published_single_run(notes):
    found = [key for key, texts in notes.items() if any("anomalib" in text for text in texts)]
    assert len(found) == 17
    assert {key[:4] for key in found} == {("mvtec_ad", "patchcore", "full_shot", "original")}
    assert table_5("patchcore", "full_shot", "original", "pixel_auroc") in found


def test_one_other_value_and_it_is_not_that_single_run(facts):
    changed = facts.single_run.copy()
    changed.loc[3, "mean_percent"] -= 0.1
    notes = footnotes(dataclasses.replace(facts, single_run=changed))
    assert not any("anomalib" in text for texts in notes.values() for text in texts)


def test_table_18_against_tables_6_and_7(notes):
    found = {(key[4], key[3]): text for key, texts in notes.items() for text in texts if "Table 18" in text}
    assert found == {
        ("grid", "original"): "Table 18 gives 68.6.",
        ("grid", "generated"): "Table 18 gives 72.2.",
        ("toothbrush", "generated"): "Table 18 gives 78.9.",
    }
    assert all(key[1:3] == ("patchcore", "one_shot") for key, texts in notes.items() if "Table 18" in texts[0])


def test_a_corrected_value_loses_its_note(facts):
    auroc = facts.auroc.copy()
    wrong = (auroc["table"] == 5) & (auroc["detector"] == "cflow") & (auroc["metric"] == "image_auroc")
    auroc.loc[wrong & (auroc["scenario"] == "one_shot") & (auroc["source"] == "original"), "mean_percent"] = 72.3
    notes = footnotes(dataclasses.replace(facts, auroc=auroc))
    assert table_5("cflow", "one_shot", "original") not in notes
