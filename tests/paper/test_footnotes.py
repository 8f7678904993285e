"""Each known inconsistency is noted where it is, and nowhere else.

The notes are data. Here every one is worked out of the published values, so that none outlives a correction of them,
and the numbers that they hold are given once more as worked out by hand.
"""

import shutil

import numpy as np
import pytest

from variad.core.tables import read_table, write_table
from variad.evaluation.aggregation import published_detector
from variad.paper.comparison import DETECTORS, KEY, MEMBERS, SCENARIOS, TABLES, Facts

from .conftest import FOLDER

METRICS = ("image_auroc", "pixel_auroc")
ROUNDING = 0.0501  # a printed value is off by no more than this, and the mean of printed ones by no more than twice it
CHANCE = "No better than chance (50)."
AVERAGES = ("average", "average_object", "average_texture")
GAIN_OVER_CHANCE = "Over a baseline that is no better than chance (50)."


@pytest.fixture(scope="module")
def elsewhere():
    """What the document prints in tables 4 and 16 to 18, and the single run that was published elsewhere."""
    ablations = read_table(FOLDER / "ablations.csv", "published_ablations")
    return ablations, read_table(FOLDER / "anomalib_single_run.csv", "single_run")


def worked_out(facts, ablations, single_run):
    """All that is inconsistent, from the values alone: the notes by the values of ``KEY``."""
    found = {}

    def printed(key, **changed):
        return facts.printed(dict(zip(KEY, key, strict=True)) | changed)[0]

    def note(key, text):
        found.setdefault(key, []).append(text)

    # table 5 against the mean of the fifteen categories in tables 6 to 13
    for number, detector in zip(range(6, 14, 2), DETECTORS, strict=True):
        for scenario in SCENARIOS:
            for source in ("original", "generated", "gain"):
                key, is_gain = table_5(detector, scenario, source), source == "gain"
                mean = np.mean([printed(key, category=name) for name in MEMBERS["mvtec_ad", "average"]])
                if abs(printed(key) - mean) > (4 if is_gain else 2) * ROUNDING:
                    text = tables(number, number + 1, f"{mean:+.2f}" if is_gain else f"{mean:.2f}")
                    for other, title in SCENARIOS.items():
                        if source == "generated" and printed(key, source="original", scenario=other) == printed(key):
                            text += f" The same number stands as the {title.lower()} baseline."
                    note(key, text)
    # gains of table 5 against the values above them
    for scenario in SCENARIOS:
        for metric in METRICS:
            keys = [table_5(detector, scenario, "gain", metric) for detector in DETECTORS]
            gains = [printed(key, source="generated") - printed(key, source="original") for key in keys]
            for key, gain in zip(keys, gains, strict=True):
                if abs(printed(key) - gain) > ROUNDING:
                    note(key, f"The two values above differ by {gain:+.1f}.")
            average, mean = table_5("average", scenario, "gain", metric), np.mean(gains)
            if abs(printed(average) - mean) > ROUNDING:
                note(average, f"The values above give a mean gain of {np.floor(mean * 10 + 0.5) / 10:+.1f}.")
    # averages of baselines that do not tell anomalies from normal images or pixels, and the gains over them
    for key in baselines():
        if key[4].startswith("average") and printed(key) <= 51:
            note(key, CHANCE)
            note((*key[:3], "gain", *key[4:]), GAIN_OVER_CHANCE)
    # PatchCore with all shots, if every one of its values is that of the single run; and with one shot in table 18
    text = "Equals anomalib's published value of a single run (ResNet-18, seed 42), as all 15 categories do."
    places = single_run.assign(scenario="full_shot", source="original")[list(KEY)]
    keys = list(places.itertuples(index=False, name=None))
    for key in keys if [printed(key) for key in keys] == single_run["mean_percent"].tolist() else []:
        note(key, text)
    for row in ablations[ablations["table"] == 18].to_dict("records"):
        source = {"baseline": "original", "generated": "generated"}.get(row["component"])
        key = ("mvtec_ad", "patchcore", "one_shot", source, row["what"].split("_")[0], "image_auroc")
        if source and abs(printed(key) - float(row["value"])) > ROUNDING:
            note(key, f"Table 18 gives {row['value']}.")
    return found


def baselines():
    return [
        tuple({**key, "source": "original"}[name] for name in KEY)
        for table in TABLES.values()
        for block in table.blocks
        for column in table.columns
        for key in table.keys(block, column)
    ]


def table_5(detector, scenario, source, metric="image_auroc"):
    return ("mvtec_ad", detector, scenario, source, "average", metric)


def tables(first, second, value):
    return f"Tables {first} and {second} give {value} as the mean of their 15 categories."


def test_notes_are_what_the_values_say(facts, notes, elsewhere):
    assert notes == worked_out(facts, *elsewhere)


def test_every_note_is_on_a_number_of_its_table(facts, notes):
    assert len(facts.footnotes) == sum(map(len, notes.values()))
    for row in facts.footnotes.to_dict("records"):
        fixed = {name: published_detector(value) for name, value in TABLES[row["table"]].fixed.items()}
        assert {name: str(row[name]) for name in fixed} == fixed
        assert row["category"] in {*TABLES[row["table"]].columns, fixed.get("category")}


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


def test_one_other_value_and_it_is_not_that_single_run(facts, elsewhere):
    ablations, single_run = elsewhere
    changed = single_run.copy()
    changed.loc[3, "mean_percent"] -= 0.1
    notes = worked_out(facts, ablations, changed)
    assert notes and not any("anomalib" in text for texts in notes.values() for text in texts)


def test_table_18_against_tables_6_and_7(notes):
    found = {(key[4], key[3]): text for key, texts in notes.items() for text in texts if "Table 18" in text}
    assert found == {
        ("grid", "original"): "Table 18 gives 68.6.",
        ("grid", "generated"): "Table 18 gives 72.2.",
        ("toothbrush", "generated"): "Table 18 gives 78.9.",
    }
    assert all(key[1:3] == ("patchcore", "one_shot") for key, texts in notes.items() if "Table 18" in texts[0])


def test_a_corrected_value_loses_its_note(facts, elsewhere, tmp_path):
    auroc = facts.auroc.copy()
    wrong = (auroc["table"] == 5) & (auroc["detector"] == "cflow") & (auroc["metric"] == "image_auroc")
    auroc.loc[wrong & (auroc["scenario"] == "one_shot") & (auroc["source"] == "original"), "mean_percent"] = 72.3
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    write_table(tmp_path / "auroc.csv", auroc, "published_auroc")
    notes = worked_out(Facts(tmp_path), *elsewhere)
    assert notes and table_5("cflow", "one_shot", "original") not in notes
