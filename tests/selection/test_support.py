"""The support sets of selection: disjoint, drawn from training normals, blind to labels."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variad.core.errors import UserError
from variad.datasets.sampling import sample_support


def manifest(train, test=3):
    rows = [(f"train/good/{n:03}", "train", 0, "good", f"{n}") for n in range(train)]
    rows += [(f"test/dent/{n:03}", "test", 1, "dent", f"t{n}") for n in range(test)]
    return pd.DataFrame(rows, columns=["image_id", "split", "label", "defect", "sha256"])


@given(
    bank=st.integers(1, 6),
    seeds=st.integers(1, 6),
    validation=st.integers(1, 6),
    spare=st.integers(0, 5),
    runs=st.integers(1, 4),
    root=st.integers(0, 2**31),
)
def test_sets_never_share_an_image_and_hold_training_normals_only(bank, seeds, validation, spare, runs, root):
    counts = {"bank": bank, "seeds": seeds, "validation": validation}
    table = manifest(bank + seeds + validation + spare)
    support = sample_support(table, counts, runs, root, "d", "c")
    tested = set(table.loc[table["split"] == "test", "image_id"])
    for run in range(runs):
        rows = support[support["run"] == run]
        assert rows["image_id"].is_unique
        assert rows["set"].value_counts().to_dict() == counts
        assert not tested & set(rows["image_id"])


def test_copies_of_a_file_are_drawn_from_once():
    table = manifest(12)
    table.loc[6:11, "sha256"] = list("012345")  # the second half is the first again
    support = sample_support(table, {"bank": 2, "seeds": 2, "validation": 2}, 3, 0, "d", "c")
    for _, rows in support.groupby("run"):
        assert set(rows["image_id"]) == {f"train/good/{n:03}" for n in range(6)}
    with pytest.raises(UserError, match=r"at least 7 training normals .* found 6"):
        sample_support(table, {"bank": 2, "seeds": 2, "validation": 3}, 1, 0, "d", "c")


def test_labels_and_defects_of_test_images_change_nothing():
    table, counts = manifest(12, 6), {"bank": 3, "seeds": 4, "validation": 5}
    support = sample_support(table, counts, 2, 0, "d", "c")
    changed = table.assign(label=1 - table["label"], defect="other")
    pd.testing.assert_frame_equal(sample_support(changed, counts, 2, 0, "d", "c"), support)
    without = table[table["split"] == "train"].sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(sample_support(without, counts, 2, 0, "d", "c"), support)


def test_runs_differ_and_a_run_keeps_its_images_when_others_are_added():
    table, counts = manifest(20), {"bank": 4, "seeds": 4, "validation": 4}
    two, three = (sample_support(table, counts, runs, 0, "d", "c") for runs in (2, 3))
    pd.testing.assert_frame_equal(three[three["run"] < 2], two)
    first, second = (list(two.loc[two["run"] == run, "image_id"]) for run in (0, 1))
    assert first != second


def test_a_longer_bank_keeps_the_shorter_one_first():
    table = manifest(20)
    short, long = (
        sample_support(table, {"bank": bank, "seeds": 4, "validation": 4}, 1, 0, "d", "c") for bank in (3, 6)
    )
    assert list(long["image_id"][:3]) == list(short["image_id"][:3])


def test_too_few_training_normals():
    with pytest.raises(
        UserError, match=r"d/c: expected at least 12 training normals \(3 bank \+ 4 seeds \+ 5 validation\), found 11"
    ):
        sample_support(manifest(11), {"bank": 3, "seeds": 4, "validation": 5}, 1, 0, "d", "c")
