"""The section's mistakes end with one sentence."""

import pytest

from variad.core.errors import UserError
from variad.selection.settings import check_exposure, exposure_of
from variad.study.configuration import resolve

SOURCES = {
    "edit": {"method": "text_edit", "strengths": [0.5, 1.0]},
    "scar": {"method": "scar", "strengths": [0.5, 1.0]},
}
SETS = {
    "tuned": {"method": "generate", "guidance": 0, "iterations": 0},
    "guided": {"method": "generate", "guidance": 1.0, "iterations": 20},
    "support": {"method": "generate", "guidance": 0, "iterations": 0},
}


def check(sources: dict[str, list[str]], added: str | None = None, overrides: dict | None = None) -> None:
    section = {"sources": sources, "added": added, "overrides": overrides or {}}
    config = {"exposure": section, "anomaly_sources": SOURCES, "training_sets": SETS, "datasets": {"elpv": {}}}
    check_exposure(config)


def test_what_can_be_done_passes() -> None:
    check({"edit": ["classification", "regression"], "scar": ["classification"]}, "tuned")


def test_a_data_set_gets_the_sources_of_its_selection_or_its_own() -> None:
    section = {
        "sources": {"scar": ["classification"], "edit": ["regression"]},
        "steps": 3,
        "overrides": {"elpv": {"sources": {"edit": ["x"]}}},
    }
    selection = {"sources": ["scar", "edit"], "overrides": {"elpv": {"sources": []}, "btad": {"sources": ["scar"]}}}
    config = {"exposure": section, "selection": selection}
    assert exposure_of(config, "elpv") == {"sources": {"edit": ["x"]}, "steps": 3}
    assert exposure_of(config, "btad") == {"sources": {"scar": ["classification"]}, "steps": 3}
    assert exposure_of(config, "mvtec_ad") == {"sources": section["sources"], "steps": 3}


def test_wrong_overrides() -> None:
    with pytest.raises(UserError, match=r"exposure\.overrides: expected one of elpv, found 'cub'"):
        check({}, None, {"cub": {"sources": {}}})
    with pytest.raises(UserError, match=r"exposure\.overrides\.elpv\.sources\.scar: expected regression only"):
        check({}, None, {"elpv": {"sources": {"scar": ["regression"]}}})


@pytest.mark.parametrize(
    ("sources", "added", "sentence"),
    [
        ({"rust": ["classification"]}, None, "exposure.sources: expected one of edit, scar, found 'rust'"),
        ({"scar": ["regression"]}, None, "exposure.sources.scar: expected regression only for a source with several"),
        ({}, "nothing", "exposure.added: expected one of training_sets"),
        ({}, "guided", "exposure.added: expected a training set that is generated without text"),
        ({}, "support", "exposure.added: expected a training set of another name than the table's other support sets"),
    ],
)
def test_mistakes(sources: dict[str, list[str]], added: str | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check(sources, added)


def test_the_default_goes_with_a_users_own_data_and_selection() -> None:
    """Sections are taken whole, so that the default's exposure has to fit whatever data sets a config names."""
    given = {
        "datasets": {"lid": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}},
        "selection": {"datasets": {"lid": None}, "sources": ["scar"], "candidates": ["lite0"]},
    }
    for config in (resolve({}, "config/config.yaml"), resolve(given, "config/config.yaml")):
        check_exposure(config)
    assert exposure_of(config, "lid")["sources"] == {"scar": ["classification"]}
