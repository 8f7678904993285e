"""A disk that takes no more, met by every kind of writer and by a study: one sentence, and nothing left behind."""

import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from tests.downloads.archives import file_info, make_tar
from tests.full_disk import enlarge, file_limit, small_disk
from tests.workflow.running import ROOT, snakemake, succeed
from variad.core.errors import UserError
from variad.core.files import filling, write_text, writing
from variad.core.tables import write_table
from variad.datasets.packaged import PackageClasses
from variad.datasets.textures import Textures
from variad.detectors.scoring import write_map
from variad.downloads.archives import extract
from variad.evaluation.pixel import PixelHistograms, write_pixel_histograms
from variad.generation.added import AddedImages, Chunks, export_training_set, write_added
from variad.generation.prompts import write_texts
from variad.generation.settings import Request
from variad.generation.wordnet import fetch_wordnet
from variad.inspect.pictures import save_heat_map
from variad.inspect.results import failed_row
from variad.inspect.watch import FileState, Journal
from variad.networks.weights import write_tensors
from variad.report import drawing
from variad.report.figures import drawn
from variad.report.gallery import save_picture

NOISE = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)  # 295 KB that do not compress
SCORES = pd.DataFrame({"run": 0, "image_id": [f"test/good/{n}" for n in range(5000)], "label": 0, "score": 0.5})
LIMIT, DISK = 12_000, "40k"


def added(count: int) -> AddedImages:
    requests = [Request(0, "train/good/0", seed) for seed in range(count)]
    return AddedImages.of(NOISE[:count], requests, np.zeros(count, np.float32))


def histograms(target: Path) -> None:
    names = tuple(f"test/good/{number}" for number in range(60))
    counts = np.random.default_rng(0).integers(0, 2**31, (60, 300)).astype(np.int64)
    write_pixel_histograms(target, {0: PixelHistograms(names, np.arange(299, dtype=np.float32), counts, counts)})


def figure(target: Path) -> None:
    with drawn([target], (6, 6)) as canvas:
        canvas.subplots().imshow(NOISE.reshape(-1, 64 * 6, 3))


def own_detector(target: Path) -> None:
    """As docs/adding_a_detector.md has it."""
    with writing(target) as temporary:
        save_file({"normal": NOISE}, temporary, metadata={"settings": "{}"})


def pages(target: Path) -> None:
    """As a page of the gallery is filled."""
    with filling(target) as folder:
        for number in range(24):
            save_picture(NOISE[number], folder / f"{number}.jpg")


def unpack_tar(target: Path) -> None:
    extract(target.parents[1] / "given.tar", target)


def unpack_zip(target: Path) -> None:
    extract(target.parents[1] / "given.zip", target)


WRITERS: dict[str, Callable[[Path], object]] = {
    "added.h5": lambda target: write_added(target, added(24), {}),
    "texts.h5": lambda target: write_texts(target, ["a"] * 24, NOISE.reshape(24, -1).astype(np.float32), "clip"),
    "pixel_histograms.h5": histograms,
    "run_0.safetensors": own_detector,
    "weights.safetensors": lambda target: write_tensors(target, {"weight": torch.from_numpy(NOISE)}),
    "map.tiff": lambda target: write_map(target, NOISE[:8, ..., 0].reshape(-1, 64).astype(np.float32)),
    "sheet.png": lambda target: drawing.save(Image.fromarray(NOISE.reshape(-1, 64, 3)), target),
    "heatmap.png": lambda target: save_heat_map(target, Image.fromarray(NOISE.reshape(-1, 64, 3))),
    "gains.svg": figure,
    "gains.png": figure,
    "scores.csv": lambda target: write_table(target, SCORES, "scores"),
    "summary.md": lambda target: write_text(target, "words\n" * 20_000),
    "maps/contents.txt": pages,
    "textures": lambda target: Textures(target).unpack(),
    "classes": lambda target: PackageClasses(target, tile_size=128, train=4, test=4).unpack(),
    "wordnet": lambda target: fetch_wordnet("package", target),
    "unpacked_tar": unpack_tar,
    "unpacked_zip": unpack_zip,
}


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """Beside the folder that is full."""
    make_tar(tmp_path / "given.tar", *((file_info(f"{n}.bin", NOISE[n].size), NOISE[n].tobytes()) for n in range(24)))
    with zipfile.ZipFile(tmp_path / "given.zip", "w") as archive:
        for number in range(24):
            archive.writestr(f"{number}.bin", NOISE[number].tobytes())
    return tmp_path


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(name: str, target: Path) -> str:
    with pytest.raises(UserError) as error:
        WRITERS[name](target)
    return str(error.value)


def check(sentence: str, target: Path, found: str) -> None:
    """One sentence, about the target or something in its folder, that says what helps."""
    where, what = re.escape(str(target.parent)), f"expected room to write, found {found}"
    assert re.fullmatch(rf"{where}[^:]*: {what}, and run the same command again\.", sentence), sentence


@pytest.mark.parametrize("name", WRITERS)
def test_a_limit_on_the_size_of_files(archives, name):
    """Works without any rights, so everywhere."""
    target = archives / "results" / name
    # a folder's files are small ones, only together they are large
    limit = LIMIT if name not in ("maps/contents.txt", "textures") else 500
    with file_limit(limit):
        check(refused(name, target), target, r"a limit on the size of files; raise it \(ulimit -f\)")
    assert below(archives / "results") == {}
    WRITERS[name](target)  # the same again, once there is room
    assert target.is_dir() or target.stat().st_size > limit or name == "maps/contents.txt"


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(archives, name):
    with small_disk(archives / "results", DISK) as results:
        target = results / name
        sentence = refused(name, target)
        if name != "unpacked_zip":
            check(sentence, target, "no space left on the disk; make room there")
        else:  # which says beforehand what it will need
            assert "expected 294,912 free bytes for the files of given.zip" in sentence
        assert below(results) == {}
        assert not [path for path in results.rglob("*") if path.name.startswith(".")]
        enlarge(results, "40m")
        WRITERS[name](target)


@pytest.mark.parametrize("name", ["added.h5", "run_0.safetensors", "map.tiff", "sheet.png", "scores.csv", "summary.md"])
def test_what_was_there_stays_as_it_was(tmp_path, name):
    target = tmp_path / name
    target.write_bytes(b"of an earlier run")
    with file_limit(LIMIT):
        refused(name, target)
    assert below(tmp_path) == {name: b"of an earlier run"}


def test_finished_batches_stay_for_the_next_attempt(tmp_path):
    """They are there so that a job which ended early goes on from them."""
    chunks = Chunks(tmp_path / "added.h5", "digest")
    chunks.keep(0, {"images": NOISE[:1]})
    with file_limit(LIMIT), pytest.raises(UserError, match=r"1\.h5: expected room to write, found a limit"):
        chunks.keep(1, {"images": NOISE[1:9]})
    assert [len(batch["images"]) for batch in chunks.kept()] == [1]


def test_an_exported_training_set(tmp_path):
    with (
        file_limit(LIMIT // 2),
        pytest.raises(UserError, match=r"added_00000\.png: expected room to write, found a limit"),
    ):
        export_training_set(tmp_path, [], NOISE[:0], added(3), run=0)
    assert below(tmp_path) == {}


def test_a_watchs_journal_takes_back_a_line_that_was_cut_short(tmp_path):
    journal = Journal(tmp_path / "line.csv", "bundle")
    header = (tmp_path / "line.csv").read_bytes()
    row = failed_row("a.png", "x" * 500)
    with file_limit(len(header) + 100), pytest.raises(UserError, match=r"line\.csv: expected room .* found a limit"):
        journal.add(row, "a.png", FileState(1, 1), "00")
    assert (tmp_path / "line.csv").read_bytes() == header
    journal.add(row, "a.png", FileState(1, 1), "00")
    journal.close()
    again = Journal(tmp_path / "line.csv", "bundle")
    assert again.holds("a.png", FileState(1, 1), str(tmp_path)) and len(again) == 1
    again.close()


IMAGES = "results/textures/brick/train/images.h5"
LOG = "results/logs/pack_category/textures.brick.train.log"


@pytest.mark.slow
def test_packing_on_a_full_disk_and_once_there_is_room(tmp_path):
    with small_disk(tmp_path / "results", "200k") as results:
        done = snakemake(tmp_path, "--cores", "1", IMAGES)
        sentence = (
            f"error: {IMAGES}: expected room to write, found no space left on the disk; make room there, and run the "
            "same command again."
        )
        assert done.returncode == 1, done.stderr[-3000:]
        assert sentence in done.stderr.splitlines()
        assert "Traceback (most recent call last)" not in done.stderr + done.stdout
        assert (tmp_path / LOG).read_text() == f"{sentence}\n"
        assert not [path for path in results.rglob("*") if "images" in path.name]
        enlarge(results, "20m")
        succeed(tmp_path, "--cores", "1", IMAGES)
        with h5py.File(tmp_path / IMAGES) as file:
            assert file["images"].shape == (40, 64, 64, 3) and file["images"][39].any()


RENDERING = """
import sys, time
sys.path.insert(0, sys.argv[1])
from variad.core.files import scratch_folder, writing
with scratch_folder("resources/downloads/textures") as folder, writing("results/elpv/mono/one_shot/old/added.h5"):
    (folder / "whole").mkdir()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_the_next_run_clears_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path):
    command = [sys.executable, "-c", RENDERING, str(ROOT / "workflow/lib")]
    killed, living = (subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        for process in (killed, living):
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.rglob(".*.variad-*"))) == 4
        target = "results/elpv/mono/train/manifest.csv"
        planned = succeed(tmp_path, "--cores", "1", "--dry-run", target)
        assert "removed, the process that made it has ended" not in planned
        assert len(list(tmp_path.rglob(".*.variad-*"))) == 4
        said = succeed(tmp_path, "--cores", "1", target)
        assert said.count("removed, the process that made it has ended") == 2
        left = [path.name for path in tmp_path.rglob(".*.variad-*")]
        assert len(left) == 2 and all(f"-{living.pid}-" in name for name in left)
    finally:
        living.kill()
        living.wait()
