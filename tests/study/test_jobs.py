import pytest

from variad.core.errors import UserError
from variad.study.jobs import PlannedJob, finished_jobs, job_table, pending_jobs, wildcards_of

SAID = """Building DAG of jobs...
Job stats:
job                 count
----------------  -------
train_detector          2
fetch_wordnet           1
all                     1
total                   4

[Sun Nov 22 12:42:51 2026]
rule train_detector:
    input: results/a/x.y/images.h5
    output: results/a/x.y/one_shot/original/deep/model/contents.txt
    benchmark: results/benchmarks/train_detector/a.x.y.one_shot.original.deep.tsv
    wildcards: dataset=a, category=x.y

[Sun Nov 22 12:42:51 2026]
rule train_detector:
    benchmark: results/benchmarks/train_detector/a.x.one_shot.original.deep.tsv

localrule fetch_wordnet:
    benchmark: results/benchmarks/fetch_wordnet.tsv

rule all:
    input: results/tables/summary.csv
"""
CONFIG = {
    "datasets": {"a": {"categories": {"x": {}, "x.y": {}}}, "a.x": {"categories": {"z": {}}}},
    "scenarios": {"one_shot": {}},
    "training_sets": {"original": {}, "original.more": {}},
    "detectors": {"deep": {}},
    "extractors": {"lite0": {}},
    "encoders": {"conse": {}},
}


def test_jobs_are_those_of_the_dry_run():
    assert pending_jobs(SAID) == [
        PlannedJob("train_detector", "a.x.y.one_shot.original.deep"),
        PlannedJob("train_detector", "a.x.one_shot.original.deep"),
        PlannedJob("fetch_wordnet", ""),
    ]
    assert job_table(SAID) == {"train_detector": 2, "fetch_wordnet": 1, "all": 1}


def test_rules_that_share_a_folder_of_benchmarks_are_one_in_a_plan():
    """Every detector draws its heat maps by a rule of its own, whatever it is called."""
    said = """Job stats:
job                      count
---------------------  -------
plot_heatmaps_my flow        1
plot_heatmaps_patchcore      1
total                        2

rule plot_heatmaps_my flow:
    benchmark: results/benchmarks/plot_heatmaps/a.x.one_shot.my flow.tsv

rule plot_heatmaps_patchcore:
    benchmark: results/benchmarks/plot_heatmaps/a.x.one_shot.patchcore.tsv
"""
    jobs = [PlannedJob("plot_heatmaps", "a.x.one_shot.my flow"), PlannedJob("plot_heatmaps", "a.x.one_shot.patchcore")]
    assert pending_jobs(said) == jobs
    with pytest.raises(UserError, match="expected 2 jobs of rule plot_heatmaps_patchcore, found 1"):
        pending_jobs(said.replace("patchcore      1", "patchcore      2"))


def test_nothing_to_do():
    assert pending_jobs("Building DAG of jobs...\nNothing to be done.\n") == []


def test_another_number_of_jobs_than_snakemake_counts_is_refused():
    with pytest.raises(UserError, match="expected 3 jobs of rule train_detector, found 2"):
        pending_jobs(SAID.replace("train_detector          2", "train_detector          3"))


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("train_detector", "a.x.y.one_shot.original.deep", ("a", "x.y", "one_shot", "original", "deep")),
        ("train_detector", "a.x.one_shot.original.more.deep", ("a", "x", "one_shot", "original.more", "deep")),
        ("index_category", "a.x.z.test", ("a.x", "z", "test")),
        ("extract_features", "a.x.y.train.lite0", ("a", "x.y", "train", "lite0")),
        ("embed_candidates", "a.x.conse.wordlist", ("a", "x", "conse", "wordlist")),
    ],
)
def test_wildcards_with_dots_in_names(rule, name, expected):
    found = wildcards_of(PlannedJob(rule, name), CONFIG)
    assert found is not None and tuple(found.values()) == expected


def test_names_that_the_config_does_not_have():
    assert wildcards_of(PlannedJob("index_category", "a.gone.test"), CONFIG) is None
    assert wildcards_of(PlannedJob("index_category", "a.z.test"), CONFIG) is None  # a category of the other data set


def test_finished_jobs_are_those_with_a_benchmark_file_but_for_the_plan(tmp_path):
    folder = tmp_path / "results" / "benchmarks"
    (folder / "train_detector").mkdir(parents=True)
    for name in ("train_detector/a.x.one_shot.original.deep.tsv", "fetch_wordnet.tsv", "plan.tsv"):
        (folder / name).write_text("s\n1\n")
    assert set(finished_jobs(folder)) == {
        PlannedJob("train_detector", "a.x.one_shot.original.deep"),
        PlannedJob("fetch_wordnet", ""),
    }
