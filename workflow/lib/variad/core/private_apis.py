"""What the workflow uses of Snakemake beyond its documented interface, each use in one function.

Each says what it relies on. Written for Snakemake 9; the tests of this file fail where a later one lacks any of it.
Nothing here imports Snakemake: the workflow hands its objects in.
"""

import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def own_rules(workflow: Any, folder: str | Path) -> Iterator[tuple[str, Any]]:
    """Rules with a script that were read from files in ``folder``, each with the name that it has there.

    Relies on ``workflow.modifier.rule_proxies._rules``, the rules of the workflow or module that is being read by the
    names in its files, and on ``rule.snakefile``, a path or an object that knows its own. A module's user may leave
    rules out: they are in ``workflow.modifier.rule_proxies`` but ``workflow.rules`` lacks them.

    Args:
        folder: a path, or an address where Snakemake has fetched the files from a host of repositories.
    """
    registered = {id(rule) for rule in workflow.rules}
    for name, proxy in workflow.modifier.rule_proxies._rules.items():
        rule = proxy.rule
        if rule.script and id(rule) in registered and _address(rule.snakefile).startswith(f"{folder}/"):
            yield name, rule


def _address(source: Any) -> str:
    return str(source.get_path_or_uri(secret_free=True) if hasattr(source, "get_path_or_uri") else source)


def complete_rule(rule: Any, log: str, benchmark: str, code: Sequence[str], mem_mb: int | Callable[..., int]) -> None:
    """Set what a rule does not say itself: log, benchmark, the input ``code`` and the resource ``mem_mb``.

    Relies on ``rule.set_log``, ``rule.benchmark`` and ``rule.set_input``, which Snakemake calls itself when it reads a
    rule, on the modifiers of paths that these ask for (a module's ``prefix``), and on the order in which defaults, a
    rule's own resources and those of the command line (``--set-resources``) count.

    Args:
        log: path without its ending; the values of the first output's wildcards follow, ``{log}/{a}.{b}.log``.
        benchmark: likewise, ``{benchmark}/{a}.{b}.tsv``.
        mem_mb: megabytes, or what gives them for ``wildcards`` and ``attempt``.
    """
    rule.input_modifier = rule.input_modifier or rule.output_modifier
    if rule.input.get("code") is None:
        rule.set_input(code=code)
    wildcards = [name for name in re.findall(r"{\s*(\w+)", "".join(rule.output[:1])) if name in rule.wildcard_names]
    suffix = "".join(f"/{'.'.join(f'{{{name}}}' for name in dict.fromkeys(wildcards))}" if wildcards else "")
    if not rule.log:
        rule.log_modifier = rule.output_modifier
        rule.set_log(f"{log}{suffix}.log")
    if not rule.benchmark and rule.output:  # a benchmark file is a product: a rule that leaves none runs whenever asked
        rule.benchmark_modifier = rule.output_modifier
        rule.benchmark = f"{benchmark}{suffix}.tsv"
    own = rule.ruleinfo.resources[1] if rule.ruleinfo.resources else {}
    asked = rule.workflow.resource_settings.overwrite_resources.get(rule.name, {})
    if "mem_mb" not in {*own, *asked}:
        rule.resources["mem_mb"] = mem_mb


def given_options(workflow: Any) -> list[str]:
    """What the command line said of the config, as words of another command line.

    Relies on ``workflow.config_settings``: ``configfiles``, absolute, and ``config_args``, ``key=value``.
    """
    settings = workflow.config_settings
    words = ["--configfile", *map(os.path.relpath, settings.configfiles)] if settings.configfiles else []
    return words + (["--config", *settings.config_args] if settings.config_args else [])


def prefix_of_module(workflow: Any) -> str:
    """What a module's user has put before every path of its rules, ending in a slash; empty where it is read plainly.

    Relies on ``workflow.modifier.path_modifier.prefix``.
    """
    return getattr(workflow.modifier.path_modifier, "prefix", None) or ""


def store_what_rules_make(workflow: Any, rule_proxy: Any, io_file: Any, folders: Sequence[str]) -> bool:
    """Have ``--default-storage-provider`` keep what rules make and nothing else: code, weights and photographs stay.

    Snakemake puts every relative path into the storage, inputs that no rule makes as well. ``rules.X.output`` is a
    place on this disk then, and what a function of inputs makes of it would be put into the storage in turn. Relies on
    ``path_modifier.apply_default_storage``, through which all paths go, on ``RuleProxy._to_iofile``, which gives
    ``rules.X.output``, and on ``storage_object.query``.

    Args:
        rule_proxy: Snakemake's class of what ``rules.X`` is.
        io_file: its function that makes input and output files.
        folders: relative folders that rules write to.

    Returns:
        Whether there is such a storage.
    """
    settings, modifier = workflow.storage_settings, workflow.modifier.path_modifier
    if settings is None or settings.default_storage_provider is None:
        return False
    prefix = (settings.default_storage_prefix or "").rstrip("/") + "/"
    apply, files_of_proxy = modifier.apply_default_storage, rule_proxy._to_iofile

    def applied(path: Any) -> Any:
        inside = os.path.normpath(str(path))
        return apply(path) if any(inside.startswith(f"{folder}/") for folder in folders) else path

    def without_storage(proxy: Any, files: Any) -> Any:
        def plain(file: Any) -> Any:
            return io_file(file.storage_object.query.removeprefix(prefix), rule=proxy.rule) if file.is_storage else file

        found = files_of_proxy(proxy, files)
        return type(found)(found, custom_map=plain)

    modifier.apply_default_storage, rule_proxy._to_iofile = applied, without_storage
    return True


def carry_listed_files(
    io_file: Any, listed: str, names_in: Callable[[Path], Iterable[str]], forget: Callable[[Path], None]
) -> None:
    """Have the storage keep all files of a folder whose list is the output of a rule, not the list alone.

    They are stored and fetched with the list, and go from this disk with it. Relies on ``store_in_storage``,
    ``retrieve_from_storage`` and ``remove`` of ``_IOFile``, through which all of that goes, and on storage objects,
    which are made of an address by their provider and know ``store_object`` and ``retrieve_object``.

    Args:
        io_file: Snakemake's class of input and output files.
        listed: name of such lists.
        names_in: reads the names in one, from its folder on.
        forget: is told of each file that was fetched: what was known of the one before holds no more.
    """
    store, retrieve, remove = io_file.store_in_storage, io_file.retrieve_from_storage, io_file.remove

    def of_folder(file: Any) -> list[Any]:
        if not file.is_storage or Path(file).name != listed or not Path(file).is_file():
            return []
        own = file.storage_object
        folder = own.query.rpartition("/")[0]
        return [own.provider.object(f"{folder}/{name}") for name in names_in(Path(file))]

    async def stored(file: Any) -> None:
        for each in of_folder(file):  # before the list, which stands only where all of them are
            each.store_object()
        await store(file)

    async def retrieved(file: Any) -> None:
        before = _time_of(file)
        await retrieve(file)
        if _time_of(file) != before:
            forget(Path(file))
            for each in of_folder(file):
                each.local_path().parent.mkdir(parents=True, exist_ok=True)
                each.retrieve_object()

    async def removed(file: Any, remove_non_empty_dir: bool = False, only_local: bool = False) -> None:
        for each in of_folder(file) if only_local else ():
            each.local_path().unlink(missing_ok=True)
        await remove(file, remove_non_empty_dir=remove_non_empty_dir, only_local=only_local)

    io_file.store_in_storage, io_file.retrieve_from_storage, io_file.remove = stored, retrieved, removed


def _time_of(path: Any) -> int | None:
    return Path(path).stat().st_mtime_ns if Path(path).exists() else None


def take_for_missing(io_file: Any, lists: Iterable[Path]) -> None:
    """Have Snakemake take files for missing, each until a job writes it anew.

    Nothing is deleted: the workflow is read for a dry run too, and `onstart` comes after the DAG was built. Relies on
    ``_IOFile.exists_local``, which Snakemake awaits to learn whether a file is there.

    Args:
        io_file: Snakemake's class of input and output files.
        lists: lists of folders that lack a file.
    """
    written = {str(path): path.stat().st_mtime_ns for path in lists}
    exists_local = io_file.exists_local

    async def exists_whole(file: Any) -> bool:
        there, time = await exists_local(file), written.get(str(file))
        return there and (time is None or Path(file).stat().st_mtime_ns != time)

    if written:
        io_file.exists_local = exists_whole


def restore_as_out_of_date(backups: Any) -> None:
    """Have what Snakemake puts back where an updating job failed be older than whatever it is made from.

    It puts a copy back, which is newer than all inputs, and forgets code and parameters: the next run would take the
    old file for the new one, with images left out or as they were. Relies on ``FileBackupMixin.restore_output``.

    Args:
        backups: Snakemake's class that keeps files while jobs update them.
    """
    restore_output = backups.restore_output

    def restored(self: Any, path: Path) -> bool:
        done: bool = restore_output(self, path)
        if done:
            os.utime(path, (1, 1))
        return done

    backups.restore_output = restored


def shape_report(draw: Callable[[list[str], list[tuple[int, int]]], Any], style: Path) -> None:
    """Have Snakemake's report draw the graph of rules as ``draw`` does, and add rules of style to its own.

    Its own graph has a rule once for every level of the graph of jobs, and a picture higher than the window begins
    above where one can scroll to. Relies on ``render_rulegraph`` of ``snakemake.report.html_reporter.data``, which gets
    nodes with ``rule`` and links with ``source`` and ``target``, and on ``get_resource_as_string`` of the reporter,
    which reads ``style.css``. Both are imported with the command line; a job's process has neither.

    Args:
        draw: a drawing for Vega 5, from a rule's name a node and the links between nodes by number.
        style: a file of CSS.
    """
    reporter: Any = sys.modules.get("snakemake.report.html_reporter")
    if reporter is None:
        return
    read = getattr(reporter.get_resource_as_string, "plain", reporter.get_resource_as_string)

    def read_styled(path: str) -> str:
        return str(read(path)) + (style.read_text("utf-8") if path == "style.css" else "")

    def render(nodes: list[Any], links: list[Any], direct: list[Any]) -> str:
        ends = [(link["source"], link["target"]) for link in [*links, *direct]]
        return json.dumps(draw([node["rule"] for node in nodes], ends))

    read_styled.plain = read  # type: ignore[attr-defined]
    reporter.get_resource_as_string = read_styled
    reporter.data.render_rulegraph = render


def start_jobs_without_a_rate_limit(workflow: Any) -> None:
    """Take the limit off how many jobs of this machine start within a second; a cluster's keep it.

    As long as Snakemake 9.27 has one, ``scheduler.job_rate_limiter``, every pass of its scheduler asks for the next
    one a second later and none is ever the last: after 350 jobs of this workflow that takes a third of a core, after
    thousands a whole one.
    """
    if workflow.local_exec and getattr(workflow.scheduler, "job_rate_limiter", None):
        workflow.scheduler.job_rate_limiter = None


def keep_jobs_that_nobody_spoke_of(workflow: Any) -> None:
    """Have Snakemake ask again for its jobs on a cluster when the cluster did not answer.

    When every question of a round fails, because Slurm's controller is restarted or busy, its plugin (2.8) says of no
    job how it is doing, and Snakemake takes that for "none is left": it waits for ever for jobs that nobody asks for.
    Relies on ``scheduler._executor`` and on the three methods of it by which an executor speaks of jobs.
    """
    executor: Any = getattr(workflow.scheduler, "_executor", None)
    if workflow.local_exec or not hasattr(executor, "check_active_jobs"):
        return
    check, ended = executor.check_active_jobs, set[int]()

    def heard(report: Callable[..., None]) -> Callable[..., None]:
        def reported(job: Any, *words: Any, **named: Any) -> None:
            ended.add(id(job))
            report(job, *words, **named)

        return reported

    async def check_all(jobs: list[Any]) -> AsyncIterator[Any]:
        going_on = set[int]()
        ended.clear()
        async for job in check(jobs):
            going_on.add(id(job))
            yield job
        unknown = [job for job in jobs if id(job) not in going_on | ended]
        if unknown:
            executor.logger.warning(f"The cluster did not say how {len(unknown)} jobs are doing; asking again.")
        for job in unknown:
            yield job

    executor.report_job_success = heard(executor.report_job_success)
    executor.report_job_error = heard(executor.report_job_error)
    executor.check_active_jobs = check_all


def take_terminal(workflow: Any, logger: logging.Logger, handler: logging.Handler) -> bool:
    """Put a handler in the place of the one that writes Snakemake's log to the terminal, in the main process of a run.

    A dry run, ``--verbose``, ``--printshellcmds``, ``--quiet all`` and a logger plugin keep Snakemake's own. Relies on
    ``workflow.is_main_process``, on the name ``DefaultStreamHandler``, and on ``workflow.logger_manager.settings``.

    Returns:
        Whether it was done.
    """
    settings = workflow.logger_manager.settings if workflow.is_main_process else None
    if settings is None or settings.dryrun or settings.verbose or settings.printshellcmds or settings.debug_dag:
        return False
    if any(str(quiet).lower().endswith("all") for quiet in settings.quiet or ()):
        return False
    replaced = [one for one in logger.handlers if one.name == "DefaultStreamHandler"]
    for one in replaced:
        logger.removeHandler(one)
        logger.addHandler(handler)
    return bool(replaced)
