"""Damage to what a study has kept, with its times as they were: found, named, removed and made again, to the byte."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.core.test_checksums import damaged
from variad.core.files import checksums_path, sha256

from .running import ROOT, planned, snakemake, succeed
from .test_dag import in_place

pytestmark = pytest.mark.slow
BRICK, MONO = "results/textures/brick", "results/elpv/mono"
BUNDLE = f"{BRICK}/few_shot/generated_tuned/patchcore"
GALLERY = "results/gallery/textures/brick"
TARGETS = ("all", "bundle", "paper")

TIMED = re.compile(r"\.(variad|onnx)(\.sha256)?$")  # a bundle holds the time when it was made

# of every kind of file that a study keeps, one; and what Snakemake is asked for to have it again
KINDS = {
    f"{BRICK}/test/images.h5": "",
    f"{BRICK}/train/manifest.csv": "",
    f"{BRICK}/train/files.json": "",
    f"{BRICK}/few_shot/generated/added.h5": "",
    f"{BRICK}/few_shot/generated/contact_sheet.png": "",
    f"{BUNDLE}/model/run_1.safetensors": f"{BUNDLE}/model/contents.txt",
    f"{BUNDLE}/pixel_histograms.h5": "",
    f"{BUNDLE}/scores.csv": "",
    f"{BUNDLE}/brick.variad": "",
    f"{BUNDLE}/brick.onnx": "",
    f"{BUNDLE}/thresholds.txt": "",
    f"{MONO}/one_shot/original/patchcore/model/contents.txt": "",
    f"{GALLERY}/index.html": f"{GALLERY}/contents.txt",
    f"{GALLERY}/data.js": f"{GALLERY}/contents.txt",
    f"{GALLERY}/gallery.css": f"{GALLERY}/contents.txt",
    "results/gallery/index.html": "",
    "results/tables/provenance.json": "",
    "results/tables/summary.csv": "",
    "results/tables/summary.md": "",
    "results/tables/textures/brick.bootstrap.h5": "",
    "results/tables/paper/table_05.tex": "",
    "results/figures/gains.svg": "",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = in_place(tmp_path_factory.mktemp("whole"))
    succeed(folder, "--cores", "2", *TARGETS)
    return folder


@pytest.fixture
def study(finished, tmp_path):
    """The finished study, with all times, to be damaged; as deep in folders, since paths of the code are relative."""
    return Path(shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True))


def a_map(folder: Path) -> str:
    return str(next((folder / MONO).glob("few_shot/*/patchcore/maps/run_0/mono/test/*/*.tiff")).relative_to(folder))


def a_picture(folder: Path) -> str:
    return str(next((folder / GALLERY).rglob("*.jpg")).relative_to(folder))


def kinds_of(folder: Path) -> dict[str, str]:
    """A file of every kind and the output that it belongs to."""
    tiff, jpg = a_map(folder), a_picture(folder)
    lists = {tiff: f"{tiff.split('/run_0/')[0]}/contents.txt", jpg: f"{GALLERY}/contents.txt"}
    return {name: output or name for name, output in {**KINDS, **lists}.items()}


def hashes(folder: Path) -> dict[str, str]:
    """Hash by name of all results; logs and benchmarks tell of a run, not of a study."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256(path) for name, path in named.items() if not re.match(r"results/(logs|benchmarks)/", name)}


def test_every_output_is_recorded_and_every_record_is_right(finished):
    records = list((finished / "results").rglob(".*.sha256"))
    assert len(records) > 150
    for record in records:
        done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", record.name], cwd=record.parent)
        assert done.returncode == 0
    for _ in range(2):  # it runs whenever it is asked
        said = succeed(finished, "--cores", "2", "verify")
        assert re.search(r"results: [\d,]+ files \(\d+ MB\) compared .*, 0 damaged or gone; 0 others have none", said)
    assert planned(finished, *TARGETS) == {}


def test_every_kind_of_file_is_among_those_that_are_damaged(finished):
    kinds = {Path(name).suffix for name in hashes(finished)}
    assert {Path(name).suffix for name in kinds_of(finished)} == kinds - {".sha256"}


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped", "deleted"])
def test_all_damage_is_found_and_named(study, how):
    """And removed; a flip is made again, by the command that is told, and the next run has its tables as before."""
    before, kinds = hashes(study), kinds_of(study)
    assert planned(study, *TARGETS) == {}
    for name in kinds:
        damaged(study / name, how)
    expected = "no such file" if how == "deleted" else r"\w{12}… \([\d,]+ bytes\)"
    done = snakemake(study, "--cores", "2", "verify")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    log = (study / "results/logs/verify.log").read_text("utf-8")
    named = re.findall(rf"(\S+): expected sha256 \w{{12}}…, found {expected}$", log, re.M)
    assert sorted(named) == sorted(kinds)
    outputs = set(kinds.values())
    assert not any((study / name).exists() or checksums_path(study / name).exists() for name in outputs)
    (command,) = re.findall(r"snakemake --cores all .*", log.splitlines()[-2])
    words = shlex.split(command)
    assert set(words[3:-2]) == outputs and words[-2] == "--configfile"
    assert f"{len(outputs)} outputs were damaged" in done.stderr
    if how != "flipped":  # what is left is the same
        return
    assert Path(study, words[-1]).resolve() == ROOT / "tests/workflow/tiny.yaml"
    succeed(study, "--cores", "2", *sorted(outputs))
    assert all((study / name).is_file() for name in kinds)
    succeed(study, "--cores", "2", *TARGETS)
    assert planned(study, *TARGETS) == {}
    succeed(study, "--cores", "2", "verify")
    after = hashes(study)
    others = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {name for name in others if not TIMED.search(name)} == set()


READ = [
    # what is damaged, how, and what a job makes of it
    (f"{BRICK}/test/images.h5", "truncated", f"{BRICK}/few_shot/original/patchcore/scores.csv"),
    (f"{BRICK}/test/images.h5", "emptied", f"{BRICK}/few_shot/original/patchcore/scores.csv"),
    (f"{BUNDLE}/model/run_1.safetensors", "emptied", f"{BUNDLE}/scores.csv"),
    (f"{BUNDLE}/model/run_1.safetensors", "flipped", f"{BUNDLE}/scores.csv"),
    (f"{BUNDLE}/scores.csv", "truncated", "results/tables/textures/brick.csv"),
    (f"{BUNDLE}/brick.variad", "flipped", f"{BUNDLE}/brick.onnx"),
    (f"{BRICK}/few_shot/generated/added.h5", "truncated", f"{BRICK}/few_shot/generated/contact_sheet.png"),
    (f"{BRICK}/train/manifest.csv", "flipped", f"{BRICK}/shots.csv"),
    ("a map", "flipped", f"{GALLERY.replace('textures/brick', 'elpv/mono')}/contents.txt"),
    (f"{GALLERY}/data.js", "truncated", "results/gallery/index.html"),
    ("results/tables/textures/brick.bootstrap.h5", "emptied", "results/tables/summary.csv"),
    ("results/tables/summary.csv", "truncated", "results/figures/gains.svg"),
]


@pytest.mark.parametrize(("name", "how", "made"), READ)
def test_a_reader_names_what_is_damaged_and_the_same_command_goes_on(study, name, how, made):
    before = hashes(study)
    name = a_map(study) if name == "a map" else name
    damaged(study / name, how)
    (study / made).unlink()
    done = snakemake(study, "--cores", "1", made)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    (sentence,) = {line.strip() for line in said.splitlines() if f"error: {name}: expected sha256 " in line}
    assert sentence.endswith("removed now: the same command makes it anew and goes on.")
    assert not (study / name).exists()
    succeed(study, "--cores", "1", made)
    after = hashes(study)
    for each in (name, made):
        assert after[each] == before[each] or TIMED.search(each)


def test_what_is_damaged_and_only_updated_is_not_taken_over(study):
    """A features file goes from one version of its images to the next row by row."""
    features = next((study / BRICK / "test/features").glob("*.h5")).relative_to(study)
    before = hashes(study)
    content = bytearray((study / features).read_bytes())
    content[-1000] ^= 64  # a feature's exponent
    (study / features).write_bytes(content)
    succeed(study, "--cores", "1", features, "--forcerun", "extract_features")
    assert hashes(study)[str(features)] == before[str(features)]
    logs = [path.read_text("utf-8") for path in (study / "results/logs/extract_features").glob("*.log")]
    assert sum(f"{features}: expected sha256 " in text for text in logs) == 1


def test_results_of_an_older_version_are_taken_as_they_are(study):
    for record in (study / "results").rglob(".*.sha256"):
        record.unlink()
    said = succeed(study, "--cores", "2", "verify")
    assert "results: 0 files (0 MB) compared with their checksums, 0 damaged or gone; " in said
    assert planned(study, *TARGETS) == {}


def test_an_edit_by_hand_is_made_again_and_an_edit_of_times_is_nothing(study):
    os.utime(study / BUNDLE / "scores.csv")
    succeed(study, "--cores", "1", "results/tables/textures/brick.csv")
    (study / "results/tables/summary.csv").open("a").write("edited by hand\n")
    done = snakemake(study, "--cores", "1", "verify")
    assert done.returncode == 1 and "results/tables/summary.csv: expected sha256 " in done.stderr
    assert not (study / "results/tables/summary.csv").exists()
