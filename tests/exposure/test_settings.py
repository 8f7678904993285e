"""The section's mistakes end with one sentence."""

import pytest

from variad.errors import UserError
from variad.exposure.settings import check_exposure, exposure_of

SOURCES = {
    "edit": {"method": "text_edit", "strengths": [0.5, 1.0]},
    "scar": {"method": "scar", "strengths": [0.5, 1.0]},
}
SETS = {
    "tuned": {"method": "generate", "guidance": 0, "iterations": 0},
    "guided": {"method": "generate", "guidance": 1.0, "iterations": 20},
}


def check(sources: dict[str, list[str]], added: str | None = None, overrides: dict | None = None) -> None:
    section = {"sources": sources, "added": added, "overrides": overrides or {}}
    config = {"exposure": section, "anomaly_sources": SOURCES, "training_sets": SETS, "datasets": {"elpv": {}}}
    check_exposure(config)


def test_what_can_be_done_passes() -> None:
    check({"edit": ["classification", "regression"], "scar": ["classification"]}, "tuned")


def test_a_data_set_may_have_sources_of_its_own() -> None:
    section = {"sources": {"scar": ["classification"]}, "steps": 3, "overrides": {"elpv": {"sources": {"edit": ["x"]}}}}
    assert exposure_of({"exposure": section}, "elpv") == {"sources": {"edit": ["x"]}, "steps": 3}
    assert exposure_of({"exposure": section}, "mvtec_ad") == {"sources": {"scar": ["classification"]}, "steps": 3}
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
    ],
)
def test_mistakes(sources: dict[str, list[str]], added: str | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check(sources, added)
