"""From cells to the summary: values by hand, pairing, averages, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.evaluation.aggregation import SummaryRow, average_rows, category_rows, read_rows, summarise, write_rows
from variad.evaluation.cells import CELL_KEY, check_paired, evaluate_cell, read_cells
from variad.evaluation.pixel import evaluate_maps, write_pixel_histograms

NO_PUBLISHED = pd.DataFrame(columns=["dataset", "detector", "scenario", "source", "category", "metric", "mean_percent"])
LABELS = [0] * 20 + [1] * 20
SHIFTS = {"original": 0.5, "generated": 1.5, "duplicated": 0.5}


def scores_table(shift, runs=3, labels=LABELS):
    """Scores whose noise is the same whatever the shift, as for paired runs."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"run": run, "image_id": f"test/x/{i:03d}", "label": label, "score": rng.normal() + shift * label}
            for run in range(runs)
            for i, label in enumerate(labels)
        ]
    )


def pixel_run(shift, seed):
    rng = np.random.default_rng(seed)
    masks = {f"test/x/{i:03d}": np.pad(np.ones((3, 3)), 4) for i in range(20, 26)}
    names = [f"test/x/{i:03d}" for i in (*range(6), *range(20, 26))]
    maps = [(name, rng.normal(size=(11, 11)) + shift * masks.get(name, 0)) for name in names]
    return evaluate_maps(maps, {name: int(name in masks) for name in names}, masks)


def make_cell(folder, training_set, category="mono", runs=3, with_pixels=True, labels=LABELS, scenario="one_shot"):
    key = dict(zip(CELL_KEY, ["elpv", category, "patchcore", scenario, training_set], strict=True))
    scores = scores_table(SHIFTS[training_set], runs, labels)
    pixel = {run: pixel_run(SHIFTS[training_set], run) for run in range(runs if with_pixels else 0)}
    pixel_rows = [{"run": r, "metric": m, "value": v} for r, (values, _) in pixel.items() for m, v in values.items()]
    path = Path(folder) / category / scenario / training_set / "patchcore"
    pixel_table = pd.DataFrame(pixel_rows, columns=["run", "metric", "value"])
    write_table(path / "scores.csv", scores, "scores")
    write_table(path / "metrics.csv", evaluate_cell(scores, pixel_table, key), "metrics")
    write_pixel_histograms(path / "pixel_histograms.h5", {run: histograms for run, (_, histograms) in pixel.items()})
    return path


def read(paths):
    files = ("metrics.csv", "scores.csv", "pixel_histograms.h5")
    return read_cells(*[[str(path / name) for path in paths] for name in files])


def summary_of(rows):
    return summarise(rows, NO_PUBLISHED).set_index(["category", "training_set", "metric"])


def test_image_metrics_of_each_run(tmp_path):
    cell = read([make_cell(tmp_path, "generated")])[0]
    assert cell.key == {
        "dataset": "elpv",
        "category": "mono",
        "detector": "patchcore",
        "scenario": "one_shot",
        "training_set": "generated",
    }
    assert sorted(cell.metrics["metric"].unique()) == [
        "aupro",
        "image_ap",
        "image_auroc",
        "image_f1_max",
        "pixel_ap",
        "pixel_auroc",
        "pixel_f1_max",
    ]
    values = cell.metrics.query("metric == 'image_auroc'").set_index("run")["value"]
    for run, group in cell.scores.groupby("run"):
        value = values[run]
        assert value == pytest.approx(roc_auc_score(group["label"], group["score"]), abs=1e-12)


def test_mean_std_and_gain_in_percent(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    table = summary_of(category_rows(cells, seed=0, draws=200))
    for metric in ("image_auroc", "pixel_auroc", "aupro", "image_f1_max"):
        before, after = [c.metrics[c.metrics["metric"] == metric]["value"].to_numpy() for c in cells]
        row = table.loc["mono", "generated", metric]
        assert row["mean"] == pytest.approx(100 * after.mean(), abs=5e-5)
        assert row["std"] == pytest.approx(100 * after.std(ddof=1), abs=5e-5)
        assert row["gain"] == pytest.approx(100 * (after.mean() - before.mean()), abs=5e-5)
        assert row["runs"] == 3
        assert np.isnan(table.loc["mono", "original", metric]["gain"])


def test_intervals_hold_the_gain_and_are_given_where_promised(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    table = summary_of(category_rows(cells, seed=0)).sort_index().loc["mono", "generated"]
    for metric in ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc"):
        row = table.loc[metric]
        assert row["gain_low"] < row["gain"] < row["gain_high"]
        assert row["gain_low"] > 0  # one standard deviation more in every run
    for metric in ("pixel_ap", "pixel_f1_max", "aupro"):
        assert table.loc[metric][["gain_low", "gain_high"]].isna().all()


def test_equal_training_sets_have_an_interval_of_nothing(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "duplicated")])
    row = summary_of(category_rows(cells, seed=0, draws=100)).loc["mono", "duplicated", "image_auroc"]
    assert row[["gain", "gain_low", "gain_high"]].tolist() == [0.0, 0.0, 0.0]


def test_one_run_has_no_std(tmp_path):
    cells = read([make_cell(tmp_path, name, runs=1) for name in ("original", "generated")])
    row = summary_of(category_rows(cells, seed=0, draws=50)).loc["mono", "generated", "image_auroc"]
    assert np.isnan(row["std"])
    assert row["runs"] == 1
    assert row["gain_low"] < row["gain"] < row["gain_high"]


def test_without_original_there_is_no_gain(tmp_path):
    table = summary_of(category_rows(read([make_cell(tmp_path, "generated")]), seed=0, draws=50))
    assert table[["gain", "gain_low", "gain_high"]].isna().all(axis=None)


def test_without_masks_there_are_image_metrics_only(tmp_path):
    cells = read([make_cell(tmp_path, name, with_pixels=False) for name in ("original", "generated")])
    table = summary_of(category_rows(cells, seed=0, draws=50))
    assert set(table.index.get_level_values("metric")) == {"image_auroc", "image_ap", "image_f1_max"}


def test_without_anomalous_images_there_is_no_row_but_valid_tables(tmp_path):
    cells = read([make_cell(tmp_path, "original", labels=[0] * 8, with_pixels=False)])
    assert cells == []
    rows = category_rows(cells, seed=0)
    write_table(tmp_path / "summary.csv", summarise(rows + average_rows(rows), NO_PUBLISHED), "summary")
    assert read_table(tmp_path / "summary.csv", "summary").empty
    write_rows(tmp_path / "rows.h5", rows)
    assert read_rows(tmp_path / "rows.h5") == []


def test_summary_file_is_the_same_each_time_and_depends_on_the_seed(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_table(tmp_path / f"{name}.csv", summarise(category_rows(cells, seed), NO_PUBLISHED), "summary")
    first, second, other = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_order_of_rows_in_the_scores_does_not_matter(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    shuffled = [replace(cell, scores=cell.scores.sample(frac=1, random_state=3)) for cell in cells]
    tables = [summarise(category_rows(c, seed=0, draws=60), NO_PUBLISHED) for c in (cells, shuffled)]
    pd.testing.assert_frame_equal(*tables)


def test_rows_survive_the_disk(tmp_path):
    cells = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    rows = category_rows(cells, seed=0, draws=40)
    write_rows(tmp_path / "rows.h5", rows)
    back = read_rows(tmp_path / "rows.h5")
    pd.testing.assert_frame_equal(summarise(back, NO_PUBLISHED), summarise(rows, NO_PUBLISHED))
    assert [row.key for row in back] == [row.key for row in rows]
    assert all((a.gain_draws == b.gain_draws).all() for a, b in zip(back, rows, strict=True))


def two_categories(tmp_path):
    rows = []
    for category in ("mono", "poly"):
        paths = [make_cell(tmp_path, name, category) for name in ("original", "generated")]
        rows += category_rows(read(paths), seed=0, draws=300)
    return rows


def test_averages_of_categories(tmp_path):
    rows = two_categories(tmp_path)
    poly = [row for row in rows if row.category == "poly"]
    moved = [-0.1 + 0.02 * (row.training_set == "generated") for row in poly]  # 2 points of gain more than in mono
    rows = [row for row in rows if row.category == "mono"] + [
        replace(row, values=row.values + shift, gain=row.gain + 0.02) for row, shift in zip(poly, moved, strict=True)
    ]
    table = summary_of(rows + average_rows(rows))
    key = ("generated", "image_auroc")
    mono, poly, average = (table.loc[(category, *key)] for category in ("mono", "poly", "average"))
    assert average["mean"] == pytest.approx((mono["mean"] + poly["mean"]) / 2, abs=1e-3)
    assert average["gain"] == pytest.approx((mono["gain"] + poly["gain"]) / 2, abs=1e-3)
    assert average["std"] == pytest.approx(mono["std"], abs=1e-3)  # poly is mono less a constant
    # Two independent draws: the average's interval is narrower, by about the root of two.
    width = (mono["gain_high"] - mono["gain_low"] + poly["gain_high"] - poly["gain_low"]) / 2
    assert (average["gain_high"] - average["gain_low"]) / width == pytest.approx(2**-0.5, abs=0.12)


def by_hand(category, training_set, runs, values, gain=np.nan):
    key = ["d", category, "patchcore", "one_shot", training_set, "image_auroc"]
    draws = np.full(5, gain) if np.isfinite(gain) else np.zeros(0)
    return SummaryRow(*key, runs=runs, values=np.array(values), gain=gain, gain_draws=draws)


def test_the_gain_of_an_average_is_of_the_runs_that_its_mean_is_of():
    rows = [
        by_hand("mono", "original", (0, 1, 2), [0.5, 0.6, 0.7]),
        by_hand("mono", "generated", (0, 1, 2), [0.6, 0.8, 0.1], gain=-0.1),
        by_hand("poly", "original", (0, 1), [0.4, 0.5]),
        by_hand("poly", "generated", (0, 1), [0.4, 0.6], gain=0.05),
    ]
    original, generated = average_rows(rows)
    assert original.runs == generated.runs == (0, 1)
    np.testing.assert_allclose(original.values, [0.45, 0.55])
    np.testing.assert_allclose(generated.values, [0.5, 0.7])
    assert np.isnan(original.gain) and generated.gain == pytest.approx(0.1)  # and not (-0.1 + 0.05) / 2
    assert not generated.gain_draws.size  # mono's are of three runs
    table = summary_of(rows + average_rows(rows)).loc[("average", "generated", "image_auroc")]
    assert table["mean"] - 50 == table["gain"] == 10 and np.isnan(table["gain_low"])


def test_equal_runs_average_gains_and_draws_as_they_are():
    rows = [
        by_hand("mono", "original", (0, 1), [0.5, 0.6]),
        by_hand("mono", "generated", (0, 1), [0.6, 0.8], gain=0.15),
        by_hand("poly", "original", (0, 1), [0.4, 0.5]),
        by_hand("poly", "generated", (0, 1), [0.4, 0.6], gain=0.05),
    ]
    generated = average_rows(rows)[1]
    assert generated.gain == pytest.approx(0.1) and generated.gain_draws == pytest.approx(np.full(5, 0.1))


def test_categories_without_a_run_in_common_have_no_average():
    assert average_rows([by_hand("mono", "original", (0,), [0.5]), by_hand("poly", "original", (1,), [0.5])]) == []


def test_averages_of_groups():
    def row(category, value, dataset="mvtec_ad"):
        key = [dataset, category, "patchcore", "one_shot", "original", "image_auroc"]
        return SummaryRow(*key, runs=(0,), values=np.array([value]), gain=np.nan, gain_draws=np.zeros(0))

    rows = [row("bottle", 0.9), row("cable", 0.7), row("tile", 0.5), row("wood", 0.7)]
    rows += [row("alone", 0.3, "other")]
    groups = {"mvtec_ad": {"bottle": "object", "cable": "object", "tile": "texture", "wood": "texture"}}
    averages = {(r.dataset, r.category): r.values.item() for r in average_rows(rows, groups)}
    assert averages == {
        ("mvtec_ad", "average"): pytest.approx(0.7),
        ("mvtec_ad", "average_object"): pytest.approx(0.8),
        ("mvtec_ad", "average_texture"): pytest.approx(0.6),
    }
    few = [r.category for r in average_rows(rows[:3], groups)]
    assert few == ["average", "average_object"]  # one texture is no average


def test_averages_over_categories_of_several_data_sets():
    def row(dataset, category, training_set, value, gain=np.nan):
        key = [dataset, category, "patchcore", "one_shot", training_set, "image_auroc"]
        draws = np.zeros(0) if training_set == "original" else np.array([gain, gain + 0.1])
        return SummaryRow(*key, runs=(0,), values=np.array([value]), gain=gain, gain_draws=draws)

    rows = [row("mvtec_ad", "screw", "original", 0.5), row("mvtec_ad", "screw", "more", 0.7, 0.2)]
    rows += [row("mine", "screw", "original", 0.8), row("mine", "screw", "more", 0.9, 0.1)]
    rows += [row("mine", "nut", "original", 0.2)]
    original, more = average_rows(rows, across={"all": ["mvtec_ad/screw", "mine/screw"]})[-2:]
    assert (original.dataset, original.category, original.training_set) == ("all", "average", "original")
    assert original.values == pytest.approx([0.65]) and more.values == pytest.approx([0.8])
    assert more.gain == pytest.approx(0.15) and more.gain_draws == pytest.approx([0.15, 0.25])
    assert rows[0].dataset == "mvtec_ad"


def test_an_average_needs_every_category(tmp_path):
    rows = two_categories(tmp_path)
    rows = [row for row in rows if not (row.category == "poly" and row.metric == "pixel_auroc")]
    metrics = {row.metric for row in average_rows(rows)}
    assert "image_auroc" in metrics
    assert "pixel_auroc" not in metrics


def test_cells_that_cannot_be_paired(tmp_path):
    original, generated = read([make_cell(tmp_path, name) for name in ("original", "generated")])
    check_paired(generated, original)
    fewer = replace(generated, scores=generated.scores.query("run < 2"))
    with pytest.raises(
        UserError, match=r"elpv/mono/patchcore/one_shot/generated: expected the runs .*0, 1, 2.*found .*0, 1"
    ):
        check_paired(fewer, original)
    other = replace(generated, scores=generated.scores.replace("test/x/003", "test/y/003"))
    with pytest.raises(UserError, match="expected the test images of original"):
        category_rows([original, other], seed=0, draws=10)
    hole = replace(generated, scores=generated.scores.drop(index=5))
    with pytest.raises(UserError, match="expected the test images of original"):
        check_paired(hole, original)
    maps = replace(
        generated, histograms=make_cell(tmp_path / "b", "generated", with_pixels=False) / "pixel_histograms.h5"
    )
    with pytest.raises(UserError, match="expected the test images of original"):
        check_paired(maps, original)


def test_an_image_scored_twice():
    scores = scores_table(1.0)
    twice = pd.concat([scores, scores.iloc[[41]]])
    key = dict.fromkeys(CELL_KEY, "x")
    with pytest.raises(UserError, match="found test/x/001 twice in run 1"):
        evaluate_cell(twice, pd.DataFrame(columns=["run", "metric", "value"]), key)


def test_not_a_table_of_draws(tmp_path):
    with pytest.raises(UserError, match=r"missing\.h5: expected bootstrap draws"):
        read_rows(tmp_path / "missing.h5")
