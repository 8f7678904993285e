"""A study in another folder than the checkout's: what ships is found, and what is made lies where the study runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
import yaml

from .running import ROOT, TINY, snakemake, succeed

pytestmark = pytest.mark.slow
# needs the VQGAN that ships, class names, WordNet, an extractor, and textures that are rendered
CELL = "results/textures/brick/one_shot/generated/patchcore/scores.csv"
ADDED = "results/textures/brick/one_shot/generated/added.h5"
MANIFEST = "results/textures/brick/train/manifest.csv"
SOURCES = ("workflow", "scripts", "config", "resources", "envs", "benchmarks")


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, as from a shell there."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "snakemake", "--quiet", "host", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def copy_sources(folder: Path) -> None:
    """What a checkout holds for the workflow, without what was downloaded into it."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(folder / "resources/downloads", ignore_errors=True)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A folder that was empty, with one cell made in it by ``--directory``."""
    folder = tmp_path_factory.mktemp("elsewhere")
    succeed(folder, "--cores", "1", CELL)
    return folder


def test_an_empty_folder_is_enough(elsewhere):
    with h5py.File(elsewhere / ADDED) as file:
        assert file["images"].shape == (4, 64, 64, 3)
    assert names_in(elsewhere) == {".snakemake", "results", "resources"}
    assert names_in(elsewhere / "resources") == {"downloads"}
    assert names_in(elsewhere / "resources/downloads") == {"textures", "wordnet"}


def test_every_weight_that_ships_is_found_from_an_empty_folder(tmp_path):
    """VQGAN, diffusion model and patch network, whose files rules have among their inputs."""
    targets = ["generated", "selection", "results/elpv/mono/train/features/pdn_tiny.h5"]
    said = succeed(tmp_path, "--dry-run", *targets, config=ROOT / "config/config.yaml")
    for name in ("vqgan_small", "ddpm_small", "pdn_tiny"):
        shipped = os.path.relpath(ROOT / "resources" / name / "model.safetensors", tmp_path)
        assert shipped in said, f"{name} is no input of any rule"


def test_the_snakefile_named_from_another_folder(tmp_path, elsewhere):
    done = run(tmp_path, "-s", ROOT / "Snakefile", "--configfile", TINY, "--cores", "1", MANIFEST)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / MANIFEST).read_bytes() == (elsewhere / MANIFEST).read_bytes()


@pytest.fixture
def checkout(tmp_path) -> Iterator[Path]:
    """A checkout that nobody can write to: root can, whatever its permissions say, but for a read-only mount."""
    folder = tmp_path / "checkout"
    copy_sources(folder)
    shutil.copy(ROOT / "Snakefile", folder)
    if os.geteuid() != 0:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        yield folder
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            path.chmod(0o755)
        return
    for options in (["--bind", folder, folder], ["-o", "remount,ro,bind", folder]):
        if subprocess.run(["mount", *map(str, options)], capture_output=True).returncode != 0:
            pytest.skip("root may not mount here, as in most containers")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_checkout_that_is_read_only(tmp_path, checkout, elsewhere):
    work = tmp_path / "work"
    work.mkdir()
    inside = run(checkout, "--configfile", TINY, "--cores", "1", MANIFEST)
    assert inside.returncode == 1
    sentence = (
        f"error: {checkout}: expected a folder that can be written to, found one that cannot; name one by --directory."
    )
    assert sentence in inside.stderr.splitlines()
    assert "Traceback (most recent call last)" not in inside.stderr
    done = run(checkout, "--directory", work, "--configfile", TINY, "--cores", "1", MANIFEST)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work / MANIFEST).read_bytes() == (elsewhere / MANIFEST).read_bytes()


MODULE = """
configfile: "study.yaml"
module variad:
    snakefile: "{snakefile}"
    config: config
    prefix: "below"
use rule * from variad as variad_*
rule all:
    default_target: True
    input: "below/{target}"
"""


def of_module(folder: Path, snakefile: Path, config: dict, target: str = CELL) -> Path:
    """A user's workflow that has ours in it, with all that it makes below a prefix."""
    folder.mkdir(exist_ok=True)
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile, target=target))
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    return folder


def tiny() -> dict:
    found: dict = yaml.safe_load(TINY.read_text())
    return found


def test_a_module_with_a_prefix_makes_the_same_below_it(tmp_path, elsewhere):
    work = of_module(tmp_path / "work", ROOT / "workflow/Snakefile", tiny())
    done = run(work, "--cores", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert names_in(work) == {".snakemake", "Snakefile", "study.yaml", "below"}
    assert names_in(work / "below") == {"results", "resources"}
    for path in (CELL, MANIFEST):
        assert (work / "below" / path).read_bytes() == (elsewhere / path).read_bytes()
    with h5py.File(work / "below" / ADDED) as ours, h5py.File(elsewhere / ADDED) as theirs:
        assert (ours["images"][:] == theirs["images"][:]).all()


HOSTED = """
configfile: "config/config.yaml"
module variad:
    snakefile: github("somebody/variad", path="workflow/Snakefile", tag="v1")
    config: config
use rule * from variad
"""


def hosted(folder: Path, caches: Path) -> dict[str, str]:
    """This checkout as a repository with a tag, cloned where Snakemake keeps clones; the environment for it."""
    copy_sources(folder)
    git = ["git", "-C", str(folder), "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All of it."], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(caches)}
    find = "from snakemake.common import get_appdirs; print(get_appdirs().user_cache_dir)"
    found = subprocess.run([sys.executable, "-c", find], env=environment, capture_output=True, text=True, check=True)
    clone = Path(found.stdout.strip()) / "snakemake/source-cache/snakemake-git-cache/github.com/somebody/variad"
    subprocess.run(["git", "clone", "-q", "--bare", str(folder), str(clone)], check=True)
    return environment


def test_a_module_of_a_host_as_a_deployment_writes_it(tmp_path, elsewhere, monkeypatch):
    """What `snakedeploy` leaves: a Snakefile with the module, and the folder config/."""
    monkeypatch.setenv("XDG_CACHE_HOME", hosted(tmp_path / "repository", tmp_path / "caches")["XDG_CACHE_HOME"])
    work = tmp_path / "work"
    for name, text in (("workflow/Snakefile", HOSTED), ("config/config.yaml", TINY.read_text())):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text(text)
    done = run(work, "--cores", "1", MANIFEST)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work / MANIFEST).read_bytes() == (elsewhere / MANIFEST).read_bytes()
    logs = {path.relative_to(work).as_posix() for path in (work / "results/logs").rglob("*.log")}
    assert "results/logs/index_category/textures.brick.train.log" in logs  # as rules of a checkout have them
    planned = run(work, "--cores", "1", "--dry-run")
    assert planned.returncode == 0 and "aggregate_metrics" in planned.stdout + planned.stderr


def test_a_module_within_the_users_own_folder_is_read_from_there(tmp_path):
    work = tmp_path / "work"
    copy_sources(work / "variad")
    of_module(work, work / "variad/workflow/Snakefile", tiny())
    done = run(work, "--dry-run")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "variad_build_training_set" in done.stdout + done.stderr  # whose weights are among its inputs
    assert "below/variad" not in done.stdout + done.stderr


def test_a_file_that_a_rule_makes_is_refused_below_a_prefix(tmp_path):
    config = tiny()
    made = "results/models/vqgan_small/model.safetensors"
    config["vqgans"] = {"vqgan_small": {"weights": made}}
    done = run(of_module(tmp_path / "work", ROOT / "workflow/Snakefile", config, ADDED), "--dry-run")
    assert done.returncode == 1
    expected = "config key vqgans.vqgan_small.weights: expected a file that no rule makes, as the module has the prefix"
    said = done.stdout + done.stderr  # of a dry run Snakemake says even what is wrong on standard output
    assert f"{expected} 'below/', found '{made}'" in said
    assert "Traceback (most recent call last)" not in said


def test_a_results_folder_below_a_prefix_that_cannot_be_written_is_named(tmp_path):
    work = of_module(tmp_path / "work", ROOT / "workflow/Snakefile", tiny(), MANIFEST)
    (work / "below").mkdir()
    (work / "below/results").write_text("in the way")
    done = run(work, "--dry-run")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and f"{work}/below/results: expected a folder that can be written to" in said


def test_downloads_that_cannot_be_written_end_in_one_sentence(tmp_path):
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/downloads").write_text("in the way")
    done = snakemake(tmp_path, "--cores", "1", MANIFEST)
    assert done.returncode == 1
    expected = "resources/downloads: expected a folder that can be written to, found one that cannot; name one by"
    assert f"{tmp_path}/{expected} --directory." in done.stderr
    assert not (tmp_path / "results").exists()
