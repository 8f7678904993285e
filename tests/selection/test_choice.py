"""The choice is an argmax; ties share it; controls need no anomalies."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.selection.records import choose, synthetic_auroc

CANDIDATES = pd.DataFrame(
    [
        ("a/stage1/64", "a", "detector", 10, 0, 64),
        ("a/stage2/64", "a", "detector", 10, 1, 64),
        ("a/stage2/128", "a", "detector", 10, 1, 128),
        ("b/large", "b", "detector", 9, 5, 512),
        ("t/template_01", "t", "prompt", 0, 0, 64),
        ("t/template_02", "t", "prompt", 0, 0, 64),
    ],
    columns=["candidate", "candidate_set", "kind", "parameters", "depth", "resolution"],
)
DETECTORS, PROMPTS = list(CANDIDATES["candidate"][:4]), list(CANDIDATES["candidate"][4:])


def aurocs(values, source="cut_paste", run=0):
    rows = [
        (run, kind, source, name, value)
        for name, kind, value in zip(CANDIDATES["candidate"], CANDIDATES["kind"], values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "kind", "source", "candidate", "synthetic_auroc"])


def weights(choices, source, kind="detector"):
    rows = choices[(choices["source"] == source) & (choices["kind"] == kind)]
    return dict(zip(rows["candidate"], rows["weight"], strict=True))


def test_synthetic_auroc_by_hand():
    scores = pd.DataFrame(
        {
            "run": 0,
            "candidate": "a/stage1/64",
            "source": "scar",
            "image_id": list("wxyz"),
            "label": [0, 0, 1, 1],
            "score": [1.0, 3.0, 2.0, 4.0],
        }
    )
    table = synthetic_auroc(scores, CANDIDATES)
    assert table.to_dict("records") == [
        {"run": 0, "kind": "detector", "source": "scar", "candidate": "a/stage1/64", "synthetic_auroc": 0.75}
    ]


@settings(max_examples=25)
@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=6, max_size=6))
def test_the_choice_is_an_argmax_and_ties_share_it(values):
    choices = choose(aurocs(values), CANDIDATES, None)
    for kind, names, own in (("detector", DETECTORS, values[:4]), ("prompt", PROMPTS, values[4:])):
        best = [name for name, value in zip(names, own, strict=True) if value == max(own)]
        found = weights(choices, "cut_paste", kind)
        assert list(found) == best and sum(found.values()) == pytest.approx(1)
        assert len(set(found.values())) == 1


def test_controls():
    choices = choose(aurocs([0.5] * 6), CANDIDATES, "b/large")
    assert weights(choices, "random") == dict.fromkeys(DETECTORS, 0.25)
    assert weights(choices, "largest_backbone") == {"a/stage2/128": 1}
    assert weights(choices, "default") == {"b/large": 1}
    assert weights(choices, "random", "prompt") == dict.fromkeys(PROMPTS, 0.5)
    assert weights(choices, "default", "prompt") == {"t/template_01": 1}
    assert choices.loc[choices["source"] == "random", "synthetic_auroc"].isna().all()


def test_every_run_chooses_for_itself(tmp_path):
    both = pd.concat([aurocs([1, 0, 0, 0, 1, 0]), aurocs([0, 1, 0, 0, 0, 1], run=1)])
    choices = choose(both, CANDIDATES, None)
    chosen = choices[choices["source"] == "cut_paste"].sort_values(["kind", "run"])
    assert list(chosen["candidate"]) == [*DETECTORS[:2], *PROMPTS]
    write_table(tmp_path / "choices.csv", choices, "choices")
    pd.testing.assert_frame_equal(read_table(tmp_path / "choices.csv", "choices"), choices, check_dtype=False)


def test_unknown_default():
    with pytest.raises(
        UserError, match=r"selection\.default: expected a candidate such as a/stage1/64, .*, found 'c/x'"
    ):
        choose(aurocs(np.zeros(6)), CANDIDATES, "c/x")
