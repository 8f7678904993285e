import pandas as pd
import pytest

from tests.study.test_work import CONFIG
from variad.core.errors import UserError
from variad.core.tables import write_table
from variad.study.jobs import PlannedJob, Took, read_took, took_of
from variad.study.plan import StudyPlan, plan_page, plan_table, took_page
from variad.study.sizes import Size, Study
from variad.study.work import Costs, Estimate, Work, estimate, read_costs

COSTS = Costs(
    "a machine",
    {
        ("index_category", "", "job"): 2.0,
        ("index_category", "", "images"): 0.5,
        ("build_training_set", "none", "job"): 1.0,
        ("build_training_set", "duplicate", "images"): 0.1,
        ("plot_gains", "", "job"): 3.0,
    },
)


def test_start_and_units():
    assert COSTS.of("index_category", Work(units={"images": 10})) == 7.0
    assert COSTS.of("plot_gains", Work()) == 3.0


def test_units_alone_take_the_start_of_the_rules_others():
    assert COSTS.of("build_training_set", Work("duplicate", {"images": 10})) == pytest.approx(2.0)


def test_what_was_never_measured_is_none_and_not_zero():
    assert COSTS.of("unknown_rule", Work()) is None
    assert COSTS.of("build_training_set", Work("generate", {"images": 1})) is None
    assert COSTS.of("index_category", Work(units={"megapixels": 1})) is None
    assert COSTS.of("index_category", Work(units={"megapixels": 0})) == 2.0


def test_work_of_other_rules_costs_what_it_costs_there_without_a_start():
    work = Work(units={"images": 2}, also={"index_category": Work(units={"images": 4})})
    assert COSTS.of("index_category", work) == 2.0 + 0.5 * 2 + 0.5 * 4
    assert COSTS.of("index_category", Work(units={"images": 2}, also={"unseen": Work(units={"images": 1})})) is None


def study(**run):
    return Study(
        {**CONFIG, "plan": {"targets": ["all"], "cores": 3, "gpus": 4}, "run": {"gpu": 0, **run}},
        {("d", "c"): Size(60, 40, 0.5), ("d", "unseen"): None},
    )


def test_plan_says_what_it_does_not_know():
    pending = [
        PlannedJob("index_category", "d.c.test"),
        PlannedJob("index_category", "d.unseen.test"),
        PlannedJob("conjure", ""),
    ]
    left = estimate(pending, study(), COSTS)
    assert left.seconds == {PlannedJob("index_category", "d.c.test"): 22.0}
    assert left.unknown == {
        PlannedJob("index_category", "d.unseen.test"): "the number of images is known once the data are there",
        PlannedJob("conjure", ""): "never measured: the rule",
    }
    plan = StudyPlan(study(), COSTS, pending, {PlannedJob("plot_gains", ""): Took(36.0, 1.5)})
    page = plan_page(plan)
    assert "- 1 jobs of conjure: never measured: the rule\n- 1 jobs of index_category: the number of images" in page
    assert "- CPU: 22 s of one core of a machine without 2 jobs that are not known\n- on the clock with 3 such" in page
    assert "They took 36 s in all; for 1 of them the estimate is 3 s and they took 36 s (ratio 12.00)." in page
    table = plan_table(plan).set_index("rule")
    assert table.loc["index_category", ["jobs_left", "unknown_jobs"]].tolist() == [2, 1]
    assert table.loc["index_category", "left_hours"] == pytest.approx(22 / 3600)
    assert pd.isna(table.loc["conjure", "left_hours"])
    assert table.loc["plot_gains", ["jobs_left", "jobs_done"]].tolist() == [0, 1]
    assert table.loc["plot_gains", "done_estimated_hours"] == pytest.approx(3 / 3600)
    assert table.loc["plot_gains", "done_measured_hours"] == pytest.approx(0.01)


def test_time_on_the_clock_is_no_shorter_than_the_longest_job():
    three = Estimate({PlannedJob("a", "1"): 10.0, PlannedJob("a", "2"): 2.0, PlannedJob("a", "3"): 4.0})
    assert (three.wall(1), three.wall(2)) == (16.0, 10.0)


def test_what_finished_jobs_took(tmp_path):
    file = tmp_path / "rule.tsv"
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    file.write_text(f"{header}2.85\t0:00:02\t1000\t1\t1\t1\t1\t1\t1\t2.4\n")
    assert read_took(file) == Took(2.85, pytest.approx(1.048576))
    file.write_text(f"{header}0.01\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    assert read_took(file) == Took(0.01, None)
    again = PlannedJob("rule", "again")
    assert took_of({PlannedJob("rule", ""): file, again: file}, [again]) == {PlannedJob("rule", ""): Took(0.01, None)}
    file.write_text("half a fi")
    with pytest.raises(UserError, match="expected a benchmark file"):
        read_took(file)


def test_costs_are_those_of_the_first_machine_of_a_kind(tmp_path):
    rows = [
        ("one", "cpu", "r", "", "job", 1.0, "x"),
        ("two", "cpu", "r", "", "job", 9.0, "x"),
        ("card", "cuda", "r", "", "job", 0.5, "gpu_costs.py: put together from parts"),
        ("other card", "cuda", "r", "", "job", 0.1, "x"),
    ]
    frame = pd.DataFrame(rows, columns=["machine", "device", "rule", "variant", "unit", "seconds", "source"])
    write_table(tmp_path / "costs.csv", frame, "rule_costs")
    assert read_costs(tmp_path / "costs.csv") == Costs("one", {("r", "", "job"): 1.0})
    assert read_costs(tmp_path / "costs.csv", "cuda") == Costs("card", {("r", "", "job"): 0.5}, derived=True)
    write_table(tmp_path / "costs.csv", frame[:2], "rule_costs")
    assert read_costs(tmp_path / "costs.csv", "cuda") == Costs("no machine", {})


def test_plan_says_what_gpus_take_and_what_nobody_measured_on_one():
    by_gpu = {("build_training_set", "duplicate", "job"): 90.0, ("build_training_set", "duplicate", "images"): 0.0}
    pending = [PlannedJob("build_training_set", f"d.c.one_shot.{name}") for name in ("copies", "original")]
    pending += [PlannedJob("build_training_set", "d.c.full_shot.copies"), PlannedJob("index_category", "d.c.test")]
    plan = StudyPlan(study(gpu=1), COSTS, pending, {}, Costs("a card", by_gpu, derived=True))
    page = plan_page(plan)
    # two sets of copies of 90 s each; `original` was never measured there, and takes a second on a CPU
    assert "- GPU: 3.0 min of one a card for 2 jobs (put together from parts that were measured" in page
    assert "; the config asks for one\n" in page
    assert "- not measured on a GPU: 1 jobs of build_training_set; on a CPU 1 of them would take 1 s" in page
    # the longest job bounds the time on the clock; index_category's 22 s run beside it
    assert "3 cores beside them: at least 3.0 min with 1, 1.5 min with 4, for what is measured" in page
    table = plan_table(plan).set_index("rule")
    assert table.loc["build_training_set", "gpu_hours"] == pytest.approx(0.05)
    assert pd.isna(table.loc["index_category", "gpu_hours"])
    assert "- GPU: not measured, so no estimate" in plan_page(StudyPlan(study(), COSTS, pending, {}))


def test_what_jobs_took_the_most_costly_rule_first():
    took = {
        PlannedJob("plot_gains", ""): Took(36.0, None),
        PlannedJob("train_detector", "a"): Took(60.0, 1.5),
        PlannedJob("train_detector", "b"): Took(30.0, 0.5),
    }
    page = took_page(took)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert rows == [
        ["rule", "jobs", "took", "longest job", "peak memory"],
        ["train_detector", "2", "1.5 min", "1.0 min", "1.5 GB"],
        ["plot_gains", "1", "36 s", "36 s", ""],
        ["total", "3", "2.1 min", "1.0 min", "1.5 GB"],
    ]
    assert "3 jobs took 2.1 min of work" in page
    assert "0 jobs took 0 s" in took_page({})
