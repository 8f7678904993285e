"""Records of checksums, what damage they show, and what becomes of damaged files."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from variad.core import checksums
from variad.core.checksums import after_job, before_job, check, damages_of, verify, write_checksums
from variad.core.errors import UserError
from variad.core.files import checksums_path, filling, writing
from variad.core.job import job

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc" (FIPS 180-2, B.1)
OTHER = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"  # of "def"
EMPTY = "e3b0c44298fc"


def damaged(path, how):
    """Damage a file as a bad disk or cable does, which leaves it its times."""
    before, content = path.stat(), path.read_bytes()
    if how == "deleted":
        path.unlink()
        return path
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"truncated": content[:middle], "emptied": b"", "flipped": flipped}[how])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A file and a folder as jobs leave them, in a working directory as jobs have it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/a").mkdir(parents=True)
    (tmp_path / "results/a/scores.csv").write_text("abc")
    with filling("results/a/maps/contents.txt") as folder:
        for name, text in {"run_0/x.tiff": "abc", "run_0/ü \\ y.tiff": "def", "z": ""}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    for name in ("scores.csv", "maps/contents.txt"):
        write_checksums(f"results/a/{name}")
    return tmp_path / "results"


def test_a_record_is_a_line_of_sha256sum(results):
    assert (results / "a/.scores.csv.sha256").read_text() == f"{ABC}  scores.csv\n"


def test_a_folder_has_one_record_with_the_list_itself_last(results):
    lines = (results / "a/maps/.contents.txt.sha256").read_text("utf-8").splitlines()
    assert lines[:3] == [
        f"{ABC}  run_0/x.tiff",
        rf"\{OTHER}  run_0/ü \\ y.tiff",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  z",
    ]
    assert len(lines) == 4 and lines[3].endswith("  contents.txt")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not there")
def test_sha256sum_reads_the_records(results):
    command = [
        "find",
        results,
        "-name",
        ".*.sha256",
        "-execdir",
        "sha256sum",
        "--check",
        "--quiet",
        "--strict",
        "{}",
        "+",
    ]
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0
    damaged(results / "a/maps/run_0/x.tiff", "flipped")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "run_0/x.tiff: FAILED" in done.stdout


def test_what_was_not_touched_is_whole(results):
    assert damages_of("results/a/scores.csv") == damages_of("results/a/maps/contents.txt") == []
    check(["results/a/scores.csv", "results/a/maps/contents.txt", "results/none.csv"], results)
    assert damages_of("results/a/none.csv") == []  # no record, no verdict


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("truncated", "found ca978112ca1b… (1 bytes)"),  # SHA-256 of "a"
        ("emptied", f"found {EMPTY}… (0 bytes)"),
        ("flipped", "found "),
        ("deleted", "found no such file"),
    ],
)
@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("scores.csv", "scores.csv"),
        ("maps/run_0/x.tiff", "maps/contents.txt"),
        ("maps/contents.txt", "maps/contents.txt"),
    ],
)
def test_damage_is_named_and_removed_with_what_lists_it(results, name, output, how, found):
    damaged(results / "a" / name, how)
    with pytest.raises(UserError) as said:
        check(["results/a/maps/contents.txt", "results/a/scores.csv"], results)
    assert str(said.value).startswith(f"results/a/{name}: expected sha256 ")
    assert str(said.value).endswith("and is removed now: the same command makes it anew and goes on.")
    if name != "maps/contents.txt":  # the others hold what the sentences were worked out for
        assert f"expected sha256 {ABC[:12]}…, {found}" in str(said.value)
    assert not any((results / "a" / gone).exists() for gone in (name, output))
    assert not checksums_path(results / "a" / output).exists()
    left = {path.name for path in results.rglob("*") if path.is_file()}
    assert ("y.tiff" in "".join(left)) and (("scores.csv" in left) == (name != "scores.csv"))
    check(["results/a/maps/contents.txt", "results/a/scores.csv"], results)  # nothing is known any more of what is gone


def test_several_damaged_files_are_one_sentence(results):
    for name in ("maps/run_0/x.tiff", "maps/z", "maps/run_0/ü \\ y.tiff", "maps/contents.txt", "scores.csv"):
        damaged(results / "a" / name, "deleted")
    with pytest.raises(
        UserError, match=r"^results/a/scores.csv: .*; likewise .*x.tiff, .*y.tiff, .*z and 1 more; it was"
    ):
        check(["results/a/scores.csv", "results/a/maps/contents.txt"], results)


def test_of_two_jobs_that_read_it_the_second_says_that_it_is_gone(results, monkeypatch):
    damaged(results / "a/scores.csv", "flipped")
    recorded = checksums.recorded_checksums

    def read_while_the_first_removes(output):
        found = recorded(output)
        (results / "a/scores.csv").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(checksums, "recorded_checksums", read_while_the_first_removes)
    with pytest.raises(UserError, match=r"results/a/scores.csv: .*found no such file"):
        check(["results/a/scores.csv"], results)


@pytest.mark.parametrize("text", ["", "ba78", f"{ABC[:-1]}  scores.csv\n", f"{ABC}  scores.csv", f"{ABC}  other.csv\n"])
def test_a_damaged_record_is_said_and_both_are_removed(results, text):
    (results / "a/.scores.csv.sha256").write_text(text)
    with pytest.raises(
        UserError, match=r"^results/a/.scores.csv.sha256: expected the checksum of scores.csv, found none"
    ):
        check(["results/a/scores.csv"], results)
    assert not list((results / "a").glob("*scores.csv*")) and not list((results / "a").glob(".scores.csv*"))


@pytest.mark.parametrize("how", ["truncated", "emptied"])
def test_a_record_of_a_folder_that_was_cut_short_is_damaged(results, how):
    damaged(results / "a/maps/.contents.txt.sha256", how)
    (damage,) = damages_of("results/a/maps/contents.txt")
    assert damage.file.name == ".contents.txt.sha256" and damage.output.name == "contents.txt"


@pytest.mark.parametrize("name", ["../../../kept.txt", "{tmp_path}/kept.txt", "run_0/../../../../kept.txt"])
def test_a_record_leads_nowhere_else(results, tmp_path, name):
    (tmp_path / "kept.txt").write_text("kept")
    record = results / "a/maps/.contents.txt.sha256"
    record.write_text(f"{OTHER}  {name.format(tmp_path=tmp_path)}\n{record.read_text('utf-8')}", "utf-8")
    with pytest.raises(UserError, match=r"contents.txt.sha256: expected the checksum"):
        check(["results/a/maps/contents.txt"], results)
    assert (tmp_path / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize("place", ["elsewhere/results", "results/../elsewhere/results"])
def test_what_is_no_result_of_this_workflow_stays(results, tmp_path, place):
    shutil.copytree(results, tmp_path / "elsewhere/results")
    damaged(tmp_path / "elsewhere/results/a/scores.csv", "flipped")
    damaged(results / "a/maps/z", "deleted")
    with pytest.raises(UserError, match=r"restore it, or delete it .* or .*elsewhere/results/a/.scores.csv.sha256"):
        check([f"{place}/a/scores.csv", "results/a/maps/contents.txt"], results)
    assert (tmp_path / "elsewhere/results/a/scores.csv").exists()
    assert not (results / "a/maps/contents.txt").exists()


def test_what_may_not_be_read_is_not_removed(results, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checksums, "sha256", refuse)
    with pytest.raises(UserError, match=r"^results/a/scores.csv: expected a file that can be read"):
        check(["results/a/scores.csv"], results)
    assert (results / "a/scores.csv").exists()


def test_what_the_disk_does_not_give_is_damaged(results, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checksums, "sha256", fail)
    with pytest.raises(UserError, match=r"^results/a/scores.csv: .*one that cannot be read \(Input/output error\)"):
        check(["results/a/scores.csv"], results)
    assert not (results / "a/scores.csv").exists()


def test_a_file_that_is_written_anew_has_no_old_record(results):
    with writing("results/a/scores.csv") as temporary:
        temporary.write_text("def")
    assert damages_of("results/a/scores.csv") == [] and not (results / "a/.scores.csv.sha256").exists()


def test_a_job_forgets_what_was_recorded_of_outputs_that_are_gone(results):
    damaged(results / "a/scores.csv", "deleted")
    assert before_job(["results/a/scores.csv", "results/a/maps/contents.txt", "results/new.csv"]) == []
    assert not list(results.rglob(".*.sha256"))
    assert (results / "a/maps/z").exists()


def test_a_job_takes_nothing_over_from_a_damaged_output(results):
    """Its record stays, which tells on the file when Snakemake puts it back because the job failed."""
    assert before_job(["results/a/scores.csv"]) == [] and (results / "a/scores.csv").exists()
    content = damaged(results / "a/scores.csv", "flipped").read_bytes()
    (damage,) = before_job(["results/a/scores.csv"])
    assert str(damage).startswith("results/a/scores.csv: expected sha256 ba7816bf8f01…")
    assert not (results / "a/scores.csv").exists()
    (results / "a/scores.csv").write_bytes(content)
    assert len(damages_of("results/a/scores.csv")) == 1


def test_results_are_recorded_and_nothing_else(results, tmp_path):
    names = ["results/new.csv", "resources/downloads/weights.pth", f"results/{'x' * 250}"]
    (tmp_path / "resources/downloads").mkdir(parents=True)
    for name in names:
        (tmp_path / name).write_text("abc")
    after_job([*names, "results/a/maps", "results/none.csv"], results)
    assert (results / ".new.csv.sha256").read_text() == f"{ABC}  new.csv\n"
    assert not list((tmp_path / "resources").rglob(".*")) and len(list(results.rglob(".*.sha256"))) == 3
    check(names, results)  # the longest name has no record, and is taken as it is
    assert before_job(names) == []


def test_an_output_that_lacks_a_file_is_a_mistake(results):
    damaged(results / "a/maps/z", "deleted")
    with pytest.raises(UserError, match=r"results/a/maps/z: expected a file that was just made, found: .*No such file"):
        write_checksums("results/a/maps/contents.txt")


def script(inputs, outputs):
    """What a script is given."""
    return SimpleNamespace(threads=1, log=["results/logs/rule/a.log"], resources={}, input=inputs, output=outputs)


def test_a_job_compares_before_and_records_after(results, capsys):
    with job(script(["results/a/scores.csv"], ["results/b.csv"])):
        (results / "b.csv").write_text("abc")
    assert (results / ".b.csv.sha256").read_text() == f"{ABC}  b.csv\n"
    damaged(results / "b.csv", "emptied")
    with pytest.raises(SystemExit) as stopped, job(script(["results/b.csv"], ["results/c.csv"])):
        raise AssertionError  # the work does not begin
    said = (results / "logs/rule/a.log").read_text()
    assert stopped.value.code == 1 and capsys.readouterr().err == said
    assert said.startswith(f"error: results/b.csv: expected sha256 {ABC[:12]}…, found {EMPTY}… (0 bytes); ")
    assert said.count("\n") == 1 and not (results / "b.csv").exists()


def test_a_job_that_fails_records_nothing(results):
    with pytest.raises(SystemExit), job(script([], ["results/b.csv"])):
        (results / "b.csv").write_text("abc")
        raise UserError("a mistake.")
    assert not (results / ".b.csv.sha256").exists()


def test_a_job_that_updates_a_damaged_output_finds_none(results):
    damaged(results / "a/scores.csv", "flipped")
    with job(script([], ["results/a/scores.csv"])):
        assert not (results / "a/scores.csv").exists()
        (results / "a/scores.csv").write_text("def")
    assert "scores.csv: expected sha256 ba7816bf8f01…" in (results / "logs/rule/a.log").read_text()
    assert (results / "a/.scores.csv.sha256").read_text() == f"{OTHER}  scores.csv\n"


def test_all_results_are_looked_at(results):
    (results / "logs").mkdir()
    (results / "benchmarks").mkdir()
    (results / "a/.added.0123").mkdir()
    for name in ("logs/a.log", "benchmarks/a.tsv", "a/.added.0123/0.h5", "a/.images.x.h5", "a/..b.csv.x.sha256"):
        (results / name).write_text("")  # no result, or not yet one
    (results / "a/logs").mkdir()
    (results / "a/logs/own.txt").write_text("")
    found = verify(results)
    assert (found.files, found.size, list(found.damages)) == (5, 3 + 3 + 3 + 0 + 33, [])
    assert [str(path.relative_to(results)) for path in found.unrecorded] == ["a/logs/own.txt"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_look_at_all_results_finds_every_damage_and_changes_nothing(results, threads):
    damaged(results / "a/scores.csv", "flipped")
    damaged(results / "a/maps/run_0/x.tiff", "deleted")
    damaged(results / "a/maps/run_0/ü \\ y.tiff", "truncated")
    before = sorted(results.rglob("*"))
    found = verify(results, threads)
    assert [str(damage.file.relative_to(results)) for damage in found.damages] == [
        "a/maps/run_0/x.tiff",
        "a/maps/run_0/ü \\ y.tiff",
        "a/scores.csv",
    ]
    assert found.files == 4 and not found.unrecorded
    assert sorted(results.rglob("*")) == before


def test_no_results_are_no_damage(tmp_path):
    assert verify(tmp_path / "results").files == 0
