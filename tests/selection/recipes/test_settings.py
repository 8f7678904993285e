"""The section's mistakes end with one sentence."""

import pytest

from variad.core.errors import UserError
from variad.selection.settings import check_recipes

SECTION = {"detectors": ["patchcore"], "scenarios": ["one_shot"], "sources": None, "default": "tuned"}
STUDY = {"detectors": ["patchcore"], "scenarios": ["one_shot"], "training_sets": ["original", "tuned"]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"detectors": ["cflow"]}, "recipes.detectors: expected one of patchcore, found 'cflow'"),
        ({"scenarios": ["few_shot"]}, "recipes.scenarios: expected one of one_shot, found 'few_shot'"),
        ({"sources": ["rust"]}, "recipes.sources: expected one of scar, found 'rust'"),
        ({"default": "generated"}, "recipes.default: expected one of original, tuned, found 'generated'"),
    ],
)
def test_mistakes(change: dict, sentence: str) -> None:
    config = {"study": STUDY, "anomaly_sources": {"scar": {}}}
    check_recipes({**config, "recipes": SECTION})
    with pytest.raises(UserError, match=sentence):
        check_recipes({**config, "recipes": {**SECTION, **change}})
