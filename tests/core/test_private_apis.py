"""What the workflow uses of Snakemake beyond its interface: each test fails where a later Snakemake lacks it."""

import ast
import asyncio
import inspect
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.io import IOFile, _IOFile
from snakemake.path_modifier import PathModifier
from snakemake.persistence import FileBackupMixin
from snakemake.rules import RuleProxy
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_storage_plugins.storage_object import StorageObjectRead, StorageObjectWrite
from snakemake_interface_storage_plugins.storage_provider import StorageProviderBase

from variad.core.private_apis import (
    carry_listed_files,
    keep_jobs_that_nobody_spoke_of,
    restore_as_out_of_date,
    shape_report,
    start_jobs_without_a_rate_limit,
    store_what_rules_make,
    take_for_missing,
)

OURS = """
import sys
from pathlib import Path
sys.path.insert(0, LIBRARY)
from variad.core.private_apis import complete_rule, own_rules
MEMORY = lambda wildcards, attempt: 1000 * attempt
wildcard_constraints:
    b="x{1,3}"
include: "rules/ours.smk"
rule all:
    input: rules.second.output
rule elsewhere:
    output: "elsewhere.txt"
    script: "elsewhere.py"
for name, of_ours in own_rules(workflow, Path(workflow.current_basedir.get_path_or_uri(secret_free=True), "rules")):
    complete_rule(of_ours, f"logs/{name}", f"times/{name}", [f"../{Path(of_ours.script).stem}.code"], MEMORY)
"""
RULES = """
rule first:
    output: "{b}/{a}.txt"
    resources: mem_mb=lambda wildcards, attempt: 300 * attempt
    script: "of_first.py"
rule second:
    input: "given.txt", code=[]
    output: "second.txt"
    log: "own.log"
    benchmark: "own.tsv"
    script: "of_second.py"
use rule first as third with:
    output: "third/{a}/{b}/{a}.txt"
rule leaves_nothing:
    input: code=[]
    log: "nothing.log"
    script: "of_nothing.py"
rule shell:
    output: "shell.txt"
    shell: "true"
"""
SHOW = """
import json
def memory_of(rule, wildcards=None):
    asked = rule.resources.get("mem_mb")
    return asked and [asked.evaluate(wildcards, attempt=attempt).value for attempt in (1, 2, 3)]
print("RULES", json.dumps({each.name: {
    "log": list(map(str, each.log)), "benchmark": str(each.benchmark or ""), "input": list(map(str, each.input)),
    "code": list(map(str, each.input.get("code", []))),
    "mem_mb": memory_of(each)}
    for each in workflow.rules}))
"""
OF_MODULE = """
module ours:
    snakefile: "inner/Snakefile"
    prefix: "below"
use rule * from ours exclude second as ours_*
"""


def rules_of(folder: Path, inner: Path, snakefile: str, *arguments: str) -> dict[str, dict[str, object]]:
    """What Snakemake holds of every rule after it has read a Snakefile."""
    library = Path(__file__).parents[2] / "workflow/lib"
    (inner / "rules").mkdir(parents=True)
    (inner / "Snakefile").write_text(OURS.replace("LIBRARY", repr(str(library))))
    (inner / "rules/ours.smk").write_text(RULES)
    with (folder / "Snakefile").open("a") as file:
        file.write(snakefile)
    command = [sys.executable, "-m", "snakemake", "--list-rules", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RULES "))
    found: dict[str, dict[str, object]] = json.loads(line.removeprefix("RULES "))
    return found


def test_rules_get_what_they_do_not_say_themselves(tmp_path):
    found = rules_of(tmp_path, tmp_path, SHOW)
    assert found["first"] == {
        "log": ["logs/first/{b,x{1,3}}.{a}.log"],
        "benchmark": "times/first/{b,x{1,3}}.{a}.tsv",
        "input": ["../of_first.code"],
        "code": ["../of_first.code"],
        "mem_mb": [300, 600, 900],
    }
    assert found["second"] == {
        "log": ["own.log"],
        "benchmark": "own.tsv",
        "input": ["given.txt"],
        "code": [],
        "mem_mb": [1000, 2000, 3000],
    }
    assert found["third"]["log"] == ["logs/third/{a}.{b,x{1,3}}.log"]
    assert found["third"]["code"] == ["../of_first.code"]
    assert not found["leaves_nothing"]["benchmark"]  # or it would not run a second time
    for other in ("shell", "elsewhere", "all"):
        assert (
            not found[other]["log"] and not found[other]["benchmark"] and found[other]["mem_mb"] != [1000, 2000, 3000]
        )


def test_rules_of_a_module_are_called_after_their_own_names_below_its_prefix(tmp_path):
    found = rules_of(tmp_path, tmp_path / "inner", OF_MODULE + SHOW)
    assert set(found) == {f"ours_{name}" for name in ("first", "third", "leaves_nothing", "shell", "all", "elsewhere")}
    assert found["ours_leaves_nothing"]["log"] == ["below/nothing.log"]
    assert found["ours_first"]["log"] == ["below/logs/first/{b,x{1,3}}.{a}.log"]
    assert found["ours_third"]["benchmark"] == "below/times/third/{a}.{b,x{1,3}}.tsv"
    assert found["ours_first"]["code"] == ["../of_first.code"]


def test_the_options_of_a_command_line_are_those_of_another(tmp_path):
    (tmp_path / "a.yaml").write_text("{}")
    shown = "from variad.core.private_apis import given_options\nprint('GIVEN', given_options(workflow))\n"
    library = f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2] / 'workflow/lib')!r})\n"
    (tmp_path / "Snakefile").write_text(f"{library}{shown}rule all:\n    input: []\n")
    for options in ([], ["--configfile", "a.yaml", "--config", "run={seed: 3}", "plan=2"]):
        command = [sys.executable, "-m", "snakemake", "--list-rules", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("GIVEN ")]
        words = ast.literal_eval(line.removeprefix("GIVEN "))
        assert words[:2] == options[:2] and bool(words) == bool(options)
        if options:
            again = subprocess.run([*command[:4], *words], cwd=tmp_path, capture_output=True, text=True)
            assert line in again.stdout  # a fixed point: the same options came through


def test_memory_of_the_command_line_counts_and_a_default_of_it_does_not(tmp_path):
    asked = ["--set-resources", "third:mem_mb=7", "--default-resources", "mem_mb=70"]
    found = rules_of(tmp_path, tmp_path, SHOW, *asked)
    assert found["third"]["mem_mb"] == [7, 7, 7]
    assert found["second"]["mem_mb"] == [1000, 2000, 3000]
    assert found["elsewhere"]["mem_mb"] == [70, 70, 70]


def test_a_list_is_missing_until_it_is_written_anew(tmp_path, monkeypatch):
    whole, lacking = tmp_path / "whole.txt", tmp_path / "lacking.txt"
    for path in (whole, lacking):
        path.write_text("")
        os.utime(path, (1, 1))

    workflow, pathvars = SimpleNamespace(iocache=SimpleNamespace(active=False)), SimpleNamespace(apply=str)
    of_rule = SimpleNamespace(workflow=workflow, pathvars=pathvars)

    def there(path: Path) -> bool:
        return asyncio.run(IOFile(str(path), rule=of_rule).exists_local())

    monkeypatch.setattr(_IOFile, "exists_local", _IOFile.exists_local)  # put back after the test
    take_for_missing(_IOFile, [])
    assert there(whole) and there(lacking)
    take_for_missing(_IOFile, [lacking])
    assert there(whole) and not there(lacking) and not there(tmp_path / "never.txt")
    lacking.write_text("")
    assert there(lacking)


def test_what_a_failed_update_leaves_is_older_than_its_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FileBackupMixin, "restore_output", FileBackupMixin.restore_output)  # put back after the test
    restore_as_out_of_date(FileBackupMixin)
    backups, updated = FileBackupMixin(), Path("updated.h5")
    backups.path = tmp_path / ".snakemake"
    updated.write_text("before")
    backups.backup_output(updated)
    updated.write_text("half")
    assert backups.restore_output(updated)
    assert updated.read_text() == "before" and updated.stat().st_mtime == 1
    assert not backups.restore_output(Path("other.h5")) and not Path("other.h5").exists()


@pytest.mark.parametrize("local", [True, False])
def test_the_rate_limit_is_taken_off_for_jobs_of_this_machine(local):
    assert "self.job_rate_limiter" in inspect.getsource(JobScheduler)
    workflow = SimpleNamespace(local_exec=local, scheduler=SimpleNamespace(job_rate_limiter="limit"))
    start_jobs_without_a_rate_limit(workflow)
    assert workflow.scheduler.job_rate_limiter == (None if local else "limit")
    start_jobs_without_a_rate_limit(SimpleNamespace(local_exec=True, scheduler=SimpleNamespace()))  # a later Snakemake


class ForgetfulExecutor:
    """Says of its first job that it runs, of the second that it ended, of the third that it failed, and no more."""

    def __init__(self):
        self.logger, self.said = logging.getLogger("forgetful"), []

    def report_job_success(self, job):
        self.said.append(("ended", job))

    def report_job_error(self, job, msg):
        self.said.append((msg, job))

    async def check_active_jobs(self, jobs):
        for place, job in enumerate(jobs):
            if place == 0:
                yield job
            elif place == 1:
                self.report_job_success(job)
            elif place == 2:
                self.report_job_error(job, msg="failed")


async def asked(executor, jobs):
    return [job async for job in executor.check_active_jobs(jobs)]


def test_jobs_of_which_a_cluster_says_nothing_are_asked_for_again(caplog):
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    assert "self._executor = " in inspect.getsource(JobScheduler.__init__)
    assert {"check_active_jobs", "report_job_success", "report_job_error"} <= set(dir(RemoteExecutor))
    executor = ForgetfulExecutor()
    scheduler = SimpleNamespace(_executor=executor)
    keep_jobs_that_nobody_spoke_of(SimpleNamespace(scheduler=scheduler, local_exec=False))
    jobs = [object() for _ in range(5)]
    assert asyncio.run(asked(executor, jobs)) == [jobs[0], *jobs[3:]]
    assert executor.said == [("ended", jobs[1]), ("failed", jobs[2])]
    assert "did not say how 2 jobs are doing" in caplog.text
    assert asyncio.run(asked(executor, jobs[:3])) == [jobs[0]]
    assert caplog.text.count("did not say") == 1
    keep_jobs_that_nobody_spoke_of(SimpleNamespace(scheduler=SimpleNamespace(), local_exec=True))


def test_the_report_has_our_graph_of_rules_and_our_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Snakemake hands to the two functions that are replaced, and where it calls them."""
    from snakemake.report import html_reporter
    from snakemake.report.rulegraph_spec import rulegraph_spec

    source = inspect.getsource(html_reporter.Reporter)
    assert "data.render_rulegraph(" in source and 'filters["get_resource_as_string"] = get_resource_as_string' in source
    assert '{"rule": job.rule.name,' in inspect.getsource(rulegraph_spec)
    monkeypatch.setattr(html_reporter, "get_resource_as_string", html_reporter.get_resource_as_string)
    monkeypatch.setattr(html_reporter.data, "render_rulegraph", html_reporter.data.render_rulegraph)
    (tmp_path / "own.css").write_text("/* ours */")
    for _ in range(2):  # read twice, in one process, it is there once
        shape_report(lambda rules, links: [rules, links], tmp_path / "own.css")
    style, other = map(html_reporter.get_resource_as_string, ("style.css", "components/menu.js"))
    assert style.count("/* ours */") == 1 and "#loading-screen" in style and "/* ours */" not in other
    nodes, link = [{"rule": "a"}, {"rule": "b"}], {"source": 0, "target": 1, "value": 1}
    drawn = html_reporter.data.render_rulegraph(nodes, [], [link])
    assert json.loads(drawn) == [["a", "b"], [[0, 1]]]


def test_a_job_without_the_reporter_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "snakemake.report.html_reporter", raising=False)
    shape_report(lambda rules, links: None, Path("no such file"))


class Stored:
    """An object of a storage, kept in a dictionary by its address; on this disk it lies below a folder."""

    def __init__(self, query, provider):
        self.query, self.provider = query, provider

    def local_path(self):
        return self.provider.disk / self.query.removeprefix("s3://")

    def store_object(self):
        self.provider.kept[self.query] = self.local_path().read_bytes()

    def retrieve_object(self):
        self.local_path().write_bytes(self.provider.kept[self.query])


def stored_file_class():
    """What `_IOFile` is to a storage, with nothing else of it; a file that is there is not fetched."""

    class StoredFile:
        is_storage = True

        def __init__(self, stored):
            self.storage_object = stored

        def __fspath__(self):
            return str(self.storage_object.local_path())

        async def store_in_storage(self):
            self.storage_object.store_object()

        async def retrieve_from_storage(self):
            if not self.storage_object.local_path().exists():
                self.storage_object.retrieve_object()

        async def remove(self, remove_non_empty_dir=False, only_local=False):
            self.storage_object.local_path().unlink()

    return StoredFile


def test_a_list_goes_into_a_storage_and_comes_back_with_its_files(tmp_path):
    provider = SimpleNamespace(disk=tmp_path, kept={})
    provider.object = lambda query: Stored(query, provider)
    kind, forgotten = stored_file_class(), []
    carry_listed_files(kind, "list.txt", lambda path: path.read_text().split(), forgotten.append)
    folder = tmp_path / "b/maps"
    (folder / "run").mkdir(parents=True)
    (folder / "list.txt").write_text("one run/two\n")
    (folder / "one").write_text("1")
    (folder / "run/two").write_text("2")
    file = kind(provider.object("s3://b/maps/list.txt"))

    asyncio.run(file.store_in_storage())
    assert provider.kept == {
        "s3://b/maps/one": b"1",
        "s3://b/maps/run/two": b"2",
        "s3://b/maps/list.txt": b"one run/two\n",
    }
    asyncio.run(file.retrieve_from_storage())
    assert forgotten == []  # it was there
    asyncio.run(file.remove(only_local=True))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    provider.kept["s3://b/maps/one"] = b"of another machine"
    (folder / "one").write_text("of a run that was killed")
    asyncio.run(file.retrieve_from_storage())
    assert (folder / "one").read_text() == "of another machine" and (folder / "run/two").read_text() == "2"
    assert forgotten == [folder / "list.txt"]


def test_a_storage_is_given_what_rules_make_and_what_they_make_is_named_as_without_it():
    class Proxy:
        def _to_iofile(self, files):
            return files

    class Files(list):
        def __init__(self, files, custom_map=None):
            super().__init__(map(custom_map, files) if custom_map else files)

    modifier = SimpleNamespace(apply_default_storage=lambda path: f"stored {path}")
    settings = SimpleNamespace(default_storage_provider="s3", default_storage_prefix="s3://bucket/study")
    workflow = SimpleNamespace(storage_settings=settings, modifier=SimpleNamespace(path_modifier=modifier))
    assert store_what_rules_make(workflow, Proxy, lambda path, rule: (path, rule), ("results", "resources/made"))
    given = [
        "results/a.csv",
        "./results/a.csv",
        "resources/made/b",
        "resources/shipped",
        "results",
        "/results/c",
        "../x",
    ]
    assert [path for path in given if modifier.apply_default_storage(path) != path] == given[:3]
    stored = SimpleNamespace(is_storage=True, storage_object=SimpleNamespace(query="s3://bucket/study/results/{a}.csv"))
    local = SimpleNamespace(is_storage=False)
    proxy = Proxy()
    proxy.rule = "rule"
    assert proxy._to_iofile(Files([stored, local])) == [("results/{a}.csv", "rule"), local]


@pytest.mark.parametrize("settings", [None, SimpleNamespace(default_storage_provider=None)])
def test_without_a_storage_nothing_is_changed(settings):
    workflow = SimpleNamespace(
        storage_settings=settings, modifier=SimpleNamespace(path_modifier=SimpleNamespace(apply_default_storage=id))
    )
    proxy = SimpleNamespace(_to_iofile=len)
    assert not store_what_rules_make(workflow, proxy, IOFile, ("results",))
    assert workflow.modifier.path_modifier.apply_default_storage is id and proxy._to_iofile is len


def test_snakemake_has_what_storages_rely_on():
    for owner, name in (
        (PathModifier, "apply_default_storage"),
        (RuleProxy, "_to_iofile"),
        (_IOFile, "store_in_storage"),
        (_IOFile, "retrieve_from_storage"),
        (_IOFile, "remove"),
        (StorageProviderBase, "object"),
        (StorageObjectWrite, "store_object"),
        (StorageObjectRead, "retrieve_object"),
    ):
        assert callable(getattr(owner, name)), name
    assert list(inspect.signature(_IOFile.remove).parameters) == ["self", "remove_non_empty_dir", "only_local"]
