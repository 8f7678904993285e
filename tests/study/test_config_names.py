"""Names of the config that become parts of paths: what they may be, and that none leads anywhere else."""

import copy
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from variad.core.errors import UserError
from variad.study.configuration import load_yaml, resolve
from variad.study.references import LONGEST, SECTIONS, check_names

DEFAULT = load_yaml("config/config.yaml")
# where a name of each key stands in paths, by the wildcard of the rules
WILDCARDS = {
    "datasets": "dataset",
    "datasets.elpv.categories": "category",
    "encoders": "encoder",
    "vqgans": "vqgan",
    "teachers": "teacher",
    "diffusion_models": "diffusion_model",
    "training_sets": "training_set",
    "extractors": "extractor",
    "detectors": "detector",
    "anomaly_sources": "source",
    "candidates": "candidate_set",
    "ablations.maps": "figure",
}
PLAIN = {"dataset": "elpv", "category": "mono", "scenario": "one_shot", "training_set": "original"}


def templates() -> set[str]:
    """Every path below ``results/`` and ``resources/downloads/`` that the rules name."""
    found = set()
    for file in sorted(Path("workflow/rules").rglob("*.smk")):
        text = file.read_text("utf-8").replace("{DOWNLOADS}", "resources/downloads")
        text = text.replace("{{", "{").replace("}}", "}")
        found |= set(re.findall(r'"((?:results|resources/downloads)/[^"\s]*)"', text))
    return found


TEMPLATES = templates()


def config_with(key, name):
    """The default with a further entry of that name, which is like the first one."""
    config = copy.deepcopy(DEFAULT)
    config["ablations"] = {"maps": {}}
    section = config
    for part in key.split("."):
        section = section[part]
    entry = {"dataset": "elpv", "scenario": "one_shot", "detector": "patchcore", "training_set": "generated"}
    section[name] = copy.deepcopy(next(iter(section.values()), entry))
    if key == "datasets":
        section[name]["adapter"], section[name]["path"], section[name]["settings"] = "folder", "photos", {}
    if key.endswith("categories"):
        config["datasets"]["elpv"] = {"adapter": "folder", "path": "photos", "categories": section}
        config["selection"]["datasets"]["elpv"] = None
    return config


def refusal(key, name):
    """The sentence that a name is refused with; empty where it is accepted."""
    try:
        resolve(config_with(key, name), "config/config.yaml")
    except UserError as error:
        return str(error)
    return ""


def test_every_key_that_becomes_a_path_is_tried_here():
    assert set(SECTIONS) == {key for key in WILDCARDS if "." not in key}
    wildcards = {name for template in TEMPLATES for name in re.findall(r"{(\w+)}", template)}
    # closed lists of the schema or of the catalogue of downloads, and loop variables of the rules
    others = {"scenario", "word_source", "archive", "unpacked", "weights_file", "number", "choice", "benchmark"}
    others |= {"name", "images", "split"}
    assert wildcards - others == set(WILDCARDS.values())


ODD = [
    "..",
    ".",
    "",
    " ",
    "a/b",
    "/",
    "/tmp/x",
    "../x",
    "..\\x",
    "a\\b",
    "C:x",
    "{dataset}",
    "{",
    "a}b",
    "a\nb",
    "a\0b",
]
ODD += [
    ".hidden",
    "-rf",
    " a",
    "a ",
    "a.",
    "*",
    "a?",
    "a[b]",
    "a<b",
    "a|b",
    'a"b',
    "a\u2028b",
    "\ud800",
    "x" * 101,
    "ß" * 51,
    "CON",
    "nul",
    "com1",
    "Lpt9.old",
    "aux .txt",
    "a\u202eb",
    "a\u2066b",
    "a\x7fb",
    "a\x85b",
]
NO_TEXT = [1, 0, -1, 1.5, True, False, None]


@pytest.mark.parametrize("name", [*ODD, *NO_TEXT], ids=ascii)
def test_names_that_are_no_folders_are_refused_in_one_sentence(name):
    for key in WILDCARDS:
        with pytest.raises(UserError) as refused:
            check_names(config_with(key, name))
        sentence = str(refused.value)
        assert sentence.startswith(f"config key {key}: expected ") and sentence.endswith(".")
        assert len(sentence.splitlines()) == 1 and len(sentence) < 250
        if isinstance(name, str):
            assert repr(name if len(name) <= LONGEST else f"{name[:20]}...") in sentence
        else:
            assert f"found {name!r}, a value of type {type(name).__name__}; write it in quotes." in sentence


@pytest.mark.parametrize(
    "name", ["001", "no", "Dosen rot", "ß", "罐子", "e\u0301", "a.b", "M6 x 20, (Zink) & co's #1 = 5%"], ids=ascii
)
def test_plain_names_in_any_script_are_accepted(name):
    for key in WILDCARDS:
        if key not in ("anomaly_sources", "candidates", "ablations.maps"):  # whose names are letters, digits, _ and -
            assert refusal(key, name) == ""


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("..", "begins with a dot, a hyphen or a space"),
        ("", "is empty"),
        ("a/b", "has the sign /"),
        ("a\nb", "has the control character '\\n'"),
        ("Dose.", "ends with a dot or a space"),
        ("x" * 101, "is longer than 100 bytes"),
        ("Aux.png", "is a device on Windows"),
        ("lid\u202e", "has the control character '\\u202e'"),
    ],
)
def test_the_sentence_says_what_is_wrong(name, what):
    shown = repr(name if len(name) <= LONGEST else f"{name[:20]}...")
    expected = f"config key datasets.elpv.categories: expected the name of a folder, found {shown}, which {what}."
    assert refusal("datasets.elpv.categories", name) == expected


@pytest.mark.parametrize(
    ("key", "name"),
    [("datasets", "Tables"), ("datasets", "summary.csv"), ("datasets.elpv.categories", "average_object")]
    + [("training_sets", "prompts"), ("detectors", "features"), ("anomaly_sources", "random"), ("vqgans", "diffusion")]
    + [("ablations.maps", "table_05"), ("ablations.maps", "figure_18")]
    + [(key, "contents.txt") for key in WILDCARDS]
    + [("datasets", "gallery"), ("datasets.elpv.categories", "lid.predictions.html")],
)
def test_names_of_the_workflows_own_files_and_rows_are_refused(key, name):
    expected = (
        f"config key {key}: expected another name than those of the workflow's own files and rows, found {name!r}."
    )
    assert refusal(key, name) == expected


def test_no_fixed_name_of_the_layout_is_left_to_a_user():
    """Where a folder or file is called after a key, none of those beside it may be."""
    beside = defaultdict(set)
    named = set()
    for template in TEMPLATES:
        parts = template.split("/")
        for place, part in enumerate(parts):
            found = re.fullmatch(r"{(\w+)}((?:\.\w+)*)", part)
            if found and found[1] in WILDCARDS.values():
                named.add(("/".join(parts[:place]), found[1], found[2]))
            elif "{" not in part:
                beside["/".join(parts[:place])].add(part)
    keys = {wildcard: key for key, wildcard in WILDCARDS.items()}
    tried = 0
    for folder, wildcard, ending in named:
        for other in beside[folder]:
            if other.endswith(ending):
                name = other.removesuffix(ending)
                assert refusal(keys[wildcard], name), f"{folder}/{other} can be {keys[wildcard]}"
                tried += 1
    assert tried > 40


def test_names_that_a_file_system_may_take_for_one_are_refused():
    config = config_with("datasets.elpv.categories", "Lid")
    config["datasets"]["elpv"]["categories"]["lid"] = {"class_name": "lid"}
    expected = "datasets.elpv.categories: expected names that differ in more than upper and lower case, found 'Lid' and"
    with pytest.raises(UserError, match=f"{expected} 'lid'."):
        check_names(config)
    config["datasets"]["elpv"]["categories"] = {"é": {}, "e\u0301": {}}
    with pytest.raises(UserError, match="upper and lower case"):
        check_names(config)


def test_a_data_set_that_is_rendered_takes_no_archives_folder():
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["btad"] = config["datasets"].pop("textures")
    with pytest.raises(UserError, match="datasets: expected a name that no downloaded archive has, found 'btad' for"):
        check_names(config)


def test_names_that_make_the_name_of_a_log_too_long_are_refused():
    config = config_with("detectors", "d" * 100)
    config["training_sets"]["t" * 100] = config["training_sets"]["original"]
    with pytest.raises(
        UserError, match=r"datasets.elpv: expected names .* of at most 220 bytes together, found 221 for"
    ):
        check_names(config | {"datasets": {"elpv": {"categories": {"c" * 17: {}}}}})
    check_names(config | {"datasets": {"elpv": {"categories": {"c" * 16: {}}}}})


names = st.one_of(
    st.sampled_from([*ODD, *NO_TEXT]),
    st.text(max_size=12),
    st.text("./\\{}~ab-_ \n", max_size=8),
    st.text(min_size=60, max_size=300),
    st.integers(),
    st.booleans(),
    st.floats(),
)


@given(key=st.sampled_from(sorted(WILDCARDS)), name=names)
@example(key="datasets", name="..")
@example(key="datasets.elpv.categories", name="..")
@settings(max_examples=150)
def test_a_name_is_refused_in_one_sentence_or_stays_in_its_folder(key, name):
    sentence = refusal(key, name)
    if sentence:
        assert len(sentence.splitlines()) == 1 and sentence.endswith(".") and "config key " in sentence
        return
    assert isinstance(name, str)
    own = [template for template in TEMPLATES if f"{{{WILDCARDS[key]}}}" in template]
    assert own
    for template in own:
        path = re.sub(
            r"{(\w+)}", lambda found: name if found[1] == WILDCARDS[key] else PLAIN.get(found[1], "x"), template
        )
        assert os.path.normpath(path) == path
        assert len(Path(path).parts) == len(template.split("/"))
        assert path.startswith(("results/", "resources/downloads/"))
        assert max(len(os.fsencode(part)) for part in Path(path).parts) <= 255
