"""Tables are checked where they are written and where they are read."""

import pandas as pd
import pytest

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table


def scores(**changes):
    values = {"run": [0, 0], "image_id": ["test/good/007", "NA"], "label": [0, 1], "score": [0.1, 1 / 3]}
    return pd.DataFrame({**values, **changes})


def test_what_was_written_is_read_back(tmp_path):
    write_table(tmp_path / "scores.csv", scores(), "scores")
    read = read_table(tmp_path / "scores.csv", "scores")
    assert read["image_id"].tolist() == ["test/good/007", "NA"]
    assert read["score"].tolist() == [0.1, 1 / 3]
    assert read["run"].dtype == "int64"


def test_columns_are_put_in_the_schemas_order(tmp_path):
    write_table(tmp_path / "scores.csv", scores()[["score", "label", "image_id", "run"]], "scores")
    assert (tmp_path / "scores.csv").read_text().splitlines()[0] == "run,image_id,label,score"


def test_an_empty_cell_is_kept_where_it_may_be(tmp_path):
    row = {
        "image_id": "unlabelled/a", "category": "c", "split": "unlabelled", "label": None, "defect": "",
        "image_path": "a.png", "mask_path": "", "height": 2, "width": 3, "sha256": "0", "mask_sha256": "",
    }  # fmt: skip
    labelled = {**row, "image_id": "test/good/b", "split": "test", "label": 0}
    write_table(tmp_path / "m.csv", pd.DataFrame([row, labelled]), "manifest")
    assert "unlabelled/a,c,unlabelled,,," in (tmp_path / "m.csv").read_text()
    assert "test/good/b,c,test,0,," in (tmp_path / "m.csv").read_text()
    assert read_table(tmp_path / "m.csv", "manifest")["label"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            scores().drop(columns="label"),
            "expected the columns run, image_id, label, score, found run, image_id, score",
        ),
        (scores(extra=1), "expected the columns"),
        (scores(label=[0, 2]), "column label: maximum is 1, found 2"),
        (scores(run=[-1, 0]), "column run: minimum is 0, found -1"),
        (scores(run=[0, 1.5]), "column run: expected integer, found 1.5"),
        (scores(run=[0, float("inf")]), "column run: expected integer, found inf"),
        (scores(score=["a", 1]), "column score: expected number"),
        (scores(score=[None, 1]), "column score: expected number, found an empty cell"),
    ],
)
def test_bad_tables_are_refused_and_not_written(tmp_path, frame, message):
    with pytest.raises(UserError, match=message):
        write_table(tmp_path / "scores.csv", frame, "scores")
    assert not list(tmp_path.iterdir())


def test_truth_is_read_as_it_is_written_and_nothing_else_is(tmp_path):
    file = tmp_path / "p.csv"
    table = pd.DataFrame({"rank": [1, 2], "image_id": ["a", "b"], "score": [0.9, 0.1], "threshold": 0.5})
    table = table.assign(anomalous=[True, False], held_out=False, answer="good", multiple=None, calibrated=None)
    table["photograph"] = "a.png"
    write_table(file, table, "predictions")
    assert read_table(file, "predictions")["anomalous"].tolist() == [True, False]
    text = file.read_text()
    for found in ("1", "0", "yes", "TRUE", "true", "Fals", " True"):
        file.write_text(text.replace("True", found))
        with pytest.raises(UserError, match=rf"p.csv: column anomalous: expected True or False, found '{found}'"):
            read_table(file, "predictions")
    write_table(file, table.assign(anomalous=[None, True]), "predictions")  # may be empty
    assert read_table(file, "predictions")["anomalous"].isna().tolist() == [True, False]


def test_truth_that_may_not_be_empty_is_not(tmp_path):
    numbers = dict.fromkeys(("ssim", "psnr", "vif", "lpips", "diversity", "novelty"), 0.5)
    table = pd.DataFrame([{"run": 0, "index": 0, "parent": "a", "accepted": True, **numbers}])
    write_table(tmp_path / "q.csv", table, "image_quality")
    for found in (None, ""):
        with pytest.raises(UserError, match="column accepted: expected True or False, found"):
            write_table(tmp_path / "q.csv", table.assign(accepted=[found]), "image_quality")


def test_a_word_that_is_not_allowed(tmp_path):
    frame = pd.DataFrame({"scenario": ["two_shot"], "run": [0], "image_id": ["a"]})
    with pytest.raises(UserError, match=r"column scenario: expected one of .* found 'two_shot'"):
        write_table(tmp_path / "shots.csv", frame, "shots")


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match="expected a table 'scores'"):
        read_table(tmp_path / "absent.csv", "scores")
