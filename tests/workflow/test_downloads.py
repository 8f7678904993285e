"""Published data sets and weights, from a server to images in one file: real runs of Snakemake on tiny archives."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests import layouts
from tests.downloads.archives import file_info, make_tar
from tests.downloads.checks import sha256
from tests.downloads.server import Fault, FileServer, serving
from tests.signals import heed_interrupts
from variad.core.errors import UserError
from variad.core.files import record_path
from variad.core.tables import read_table
from variad.datasets.adapters import open_dataset
from variad.datasets.manifest import index_category
from variad.downloads.catalogue import find_source
from variad.networks.weights import load_checkpoint, load_weights

from .running import ROOT, TINY, planned, snakemake, succeed

slow = pytest.mark.slow
Config = dict[str, Any]

CATEGORIES = {"mvtec_ad": "bottle", "btad": "01", "mvtec_loco": "breakfast_box"}
ARCHIVES = "resources/downloads/archives"
WEIGHTS = "resources/downloads/weights"
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")  # the local server is not behind one
SLACK = 60.0  # seconds for a process on a busy machine to come as far as a test waits for


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with serving() as started:
        yield started


def packed(tree: Path, file_name: str) -> bytes:
    """The tree as an archive of the published name's format."""
    stream = io.BytesIO()
    if file_name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(tree.rglob("*")):
                archive.write(path, path.relative_to(tree))
    else:
        with tarfile.open(fileobj=stream, mode="w:xz" if file_name.endswith("xz") else "w:gz") as tar:
            for path in sorted(tree.iterdir()):
                tar.add(path, path.name)
    return stream.getvalue()


def published(server: FileServer, name: str, content: bytes, *faults: Fault, **settings: Any) -> Config:
    """Serve what stands for an entry of the catalogue; its mirror, as the config has it."""
    url = server.publish(f"/{find_source(name).file_name}", content, *faults, **settings)
    return {"url": url, "sha256": sha256(content)}


def study(folder: Path, sources: Config, *names: str, keep: bool = True, **sections: Any) -> Path:
    """A config of data sets that are downloaded."""
    config = yaml.safe_load(TINY.read_text())
    config["datasets"] = {
        name: {"adapter": name, "categories": {CATEGORIES[name]: {"class_name": "thing"}}}
        for name in names or CATEGORIES
    }
    config |= {"downloads": {"keep_archives": keep, "sources": sources}, "image_size": 32, **sections}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def images_of(name: str) -> str:
    return f"results/{name}/{CATEGORIES[name]}/test/images.h5"


def tree_of(name: str, folder: Path) -> Path:
    return {"mvtec_ad": layouts.mvtec_ad, "btad": layouts.btad, "mvtec_loco": layouts.mvtec_loco}[name](folder)


def one_sentence(said: str, *parts: str) -> None:
    """One line of the output says all of it, as an error, and nothing shows a traceback."""
    found = [line for line in said.splitlines() if line.startswith("error: ") and all(part in line for part in parts)]
    assert found and found[0].endswith("."), said[-3000:]
    assert "Traceback" not in said


def refused(folder: Path, target: str, config: Path, *parts: str) -> None:
    """The workflow stops with one sentence and a status that is not zero, and made nothing of the target."""
    done = snakemake(folder, "--cores", "1", target, config=config)
    assert done.returncode != 0
    one_sentence(done.stdout + done.stderr, *parts)
    assert not (folder / target).exists()


@slow
def test_three_data_sets_come_from_the_server_to_images(server: FileServer, tmp_path: Path) -> None:
    trees = {name: tree_of(name, tmp_path / name) for name in CATEGORIES}
    sources = {name: published(server, name, packed(tree, find_source(name).file_name)) for name, tree in trees.items()}
    behind_a_busy_redirect(server, sources["mvtec_loco"])
    trees["btad"] /= "BTech_Dataset_transformed"  # unpacked without it
    folder, config = tmp_path / "work", study(tmp_path, sources)
    targets = [images_of(name) for name in CATEGORIES]
    said = succeed(folder, "--cores", "1", *targets, config=config)
    assert said.count("licence CC BY-NC-SA 4.0: no commercial use") == 3
    for name, tree in trees.items():
        category = CATEGORIES[name]
        expected = index_category(open_dataset(name, tree), category, "test")
        manifest = read_table(folder / f"results/{name}/{category}/test/manifest.csv", "manifest")
        pd.testing.assert_frame_equal(manifest, expected, check_dtype=False)
        with h5py.File(folder / images_of(name)) as file:
            assert file["images"].shape == (len(expected), 32, 32, 3)
        log = (folder / f"results/logs/fetch_archive/{find_source(name).file_name}.log").read_text()
        assert "licence CC BY-NC-SA 4.0" in log

    assert planned(folder, *targets, config=config) == {}
    sent = server.sent
    (folder / ARCHIVES / "btad.zip").unlink()  # what is unpacked needs its archive no more
    assert planned(folder, *targets, config=config) == {}

    # another address of the same file is no reason to download or compute anything again
    moved = {name: {**entry, "url": entry["url"] + "?moved"} for name, entry in sources.items()}
    config = study(tmp_path, moved, "mvtec_ad", "mvtec_loco")
    jobs = planned(folder, *[images_of(name) for name in ("mvtec_ad", "mvtec_loco")], config=config)
    assert {"index_category", "pack_category"}.isdisjoint(jobs)
    succeed(folder, "--cores", "1", *[images_of(name) for name in ("mvtec_ad", "mvtec_loco")], config=config)
    assert server.sent == sent


def behind_a_busy_redirect(server: FileServer, source: Config) -> None:
    """Let the address of a source be another's that sends on to it, and that has no time at first."""
    faults = Fault(status=503), Fault(status=302, headers={"Location": source["url"]})
    source["url"] = server.publish("/share", b"", *faults)


@slow
@pytest.mark.parametrize("top", [True, False])
def test_archive_and_local_copy_may_have_a_top_folder(server: FileServer, tmp_path: Path, top: bool) -> None:
    tree = layouts.mvtec_ad(tmp_path / "copy" / ("mvtec_anomaly_detection" if top else ""), ("bottle",))
    source = published(server, "mvtec_ad", packed(tmp_path / "copy", "a.tar.xz"))
    folder = tmp_path / "work"
    succeed(folder, "--cores", "1", images_of("mvtec_ad"), config=study(tmp_path, {"mvtec_ad": source}, "mvtec_ad"))
    downloaded = (folder / images_of("mvtec_ad")).read_bytes()
    assert (folder / "resources/downloads/mvtec_ad/bottle/train/good/000.png").is_file()

    category = {"bottle": {"class_name": "bottle"}}
    local = {"mvtec_ad": {"adapter": "mvtec_ad", "path": str(tmp_path / "copy"), "categories": category}}
    config = study(tmp_path, {}, "mvtec_ad", datasets=local)
    other = tmp_path / "other"
    succeed(other, "--cores", "1", images_of("mvtec_ad"), config=config)
    assert (other / images_of("mvtec_ad")).read_bytes() == downloaded
    assert tree.is_dir() and len(server.answers) == 1


@slow
def test_interrupted_download_goes_on(server: FileServer, tmp_path: Path) -> None:
    content = packed(layouts.mvtec_ad(tmp_path / "tree"), "a.tar.xz")
    cut = len(content) * 2 // 5 + 17
    source = published(server, "mvtec_ad", content, Fault(drop=cut, stall=SLACK))
    folder, config = tmp_path / "work", study(tmp_path, {"mvtec_ad": source}, "mvtec_ad")
    part = folder / ARCHIVES / "mvtec_anomaly_detection.tar.xz.part"
    killed_when(lambda: part.exists() and part.stat().st_size == cut, folder, config, images_of("mvtec_ad"))
    assert part.stat().st_size == cut  # Snakemake left it where it was

    said = succeed(folder, "--cores", "1", "--rerun-incomplete", images_of("mvtec_ad"), config=config)
    assert "Traceback" not in said
    assert [answer.asked_range for answer in server.answers] == [None, f"bytes={cut}-"]
    assert server.answers[1].sent == len(content) - cut
    assert (folder / ARCHIVES / "mvtec_anomaly_detection.tar.xz").read_bytes() == content
    assert sorted(path.name for path in (folder / ARCHIVES).iterdir()) == [
        "mvtec_anomaly_detection.tar.xz",
        "mvtec_anomaly_detection.tar.xz.fetched.json",
    ]


def killed_when(reached: Any, folder: Path, config: Path, target: str) -> None:
    """Start Snakemake and end it, with its jobs, as Ctrl-C in a terminal does."""
    folder.mkdir()
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--configfile", config, "--cores", "1", target]
    with open(folder / "said.txt", "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, cwd=ROOT, start_new_session=True, preexec_fn=heed_interrupts
        )
        deadline = time.monotonic() + SLACK
        while not reached() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert reached(), (folder / "said.txt").read_text()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(SLACK) != 0


@slow
def test_flipped_byte_is_refused_and_nothing_unpacked(server: FileServer, tmp_path: Path) -> None:
    content = packed(layouts.btad(tmp_path / "tree", ("01",)), "btad.zip")
    wrong = bytearray(content)
    wrong[len(wrong) // 2] ^= 1
    source = {**published(server, "btad", bytes(wrong)), "sha256": sha256(content)}
    folder, config = tmp_path / "work", study(tmp_path, {"btad": source}, "btad")
    refused(folder, images_of("btad"), config, "btad.zip", f"expected sha256 {sha256(content)}", sha256(bytes(wrong)))
    assert not (folder / "resources/downloads/btad").exists()
    assert not list((folder / ARCHIVES).glob("*"))

    # and so where it changes on the disk between download and unpacking
    published(server, "btad", content)
    succeed(folder, "--cores", "1", f"{ARCHIVES}/btad.zip.fetched.json", config=config)
    (folder / ARCHIVES / "btad.zip").write_bytes(bytes(wrong))
    refused(folder, images_of("btad"), config, "btad.zip", f"expected sha256 {sha256(content)}")
    assert not list((folder / "resources/downloads/btad").glob("*"))


def test_missing_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    config = study(tmp_path, {"btad": {"url": server.url("/gone.zip")}}, "btad")
    refused(tmp_path / "work", images_of("btad"), config, "/gone.zip", "404")
    assert len(server.answers) == 1


@slow
@pytest.mark.parametrize(
    ("member", "found"),
    [
        (file_info("../evil", 4), "'..'"),
        (file_info("/absolute/evil", 4), "an absolute one"),
        (file_info("evil", type=tarfile.SYMTYPE, linkname="../../outside"), "a link to '../../outside'"),
        (file_info("evil", type=tarfile.CHRTYPE), "a device"),
    ],
    ids=["parent", "absolute", "link", "device"],
)
def test_archive_that_leads_out_is_refused(
    server: FileServer, tmp_path: Path, member: tarfile.TarInfo, found: str
) -> None:
    members = (file_info("bottle/a.txt", 1), b"a"), (member, b"evil"[: member.size])
    source = published(server, "mvtec_ad", make_tar(tmp_path / "made.tar.xz", *members, mode="w:xz").read_bytes())
    folder, config = tmp_path / "work", study(tmp_path, {"mvtec_ad": source}, "mvtec_ad")
    refused(folder, images_of("mvtec_ad"), config, "mvtec_anomaly_detection.tar.xz", f"'{member.name}'", found)
    assert not list((folder / "resources/downloads/mvtec_ad").glob("*"))
    assert not list(tmp_path.rglob("evil")) and not list(tmp_path.rglob("a.txt"))


@slow
def test_archive_that_is_not_kept_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    source = published(server, "btad", packed(layouts.btad(tmp_path / "tree", ("01",)), "btad.zip"))
    folder, config = tmp_path / "work", study(tmp_path, {"btad": source}, "btad", keep=False)
    succeed(folder, "--cores", "1", images_of("btad"), config=config)
    assert not (folder / ARCHIVES / "btad.zip").exists()
    assert planned(folder, images_of("btad"), config=config) == {}

    # what is computed does not want the list back; where it is asked for, it needs no archive
    (folder / "resources/downloads/btad/contents.txt").unlink()
    assert planned(folder, images_of("btad"), config=config) == {}
    succeed(folder, "--cores", "1", "--forcerun", "unpack_archive", "--", images_of("btad"), config=config)
    assert len(server.answers) == 1
    # one that is lost is fetched again
    before = (folder / "resources/downloads/btad/contents.txt").read_text()
    (folder / "resources/downloads/btad/01/train/ok/0000.bmp").unlink()
    (folder / "resources/downloads/btad/contents.txt").unlink()
    (folder / images_of("btad")).unlink()
    succeed(folder, "--cores", "1", images_of("btad"), config=config)
    assert (folder / "resources/downloads/btad/contents.txt").read_text() == before
    assert "01/train/ok/0000.bmp" in before.splitlines()
    assert len(server.answers) == 2


@slow
def test_files_beside_an_archive_are_put_into_its_folder(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tree/jpg").mkdir(parents=True)
    (tmp_path / "tree/jpg/image_00001.jpg").write_bytes(b"flower")
    sources = {
        "flowers_102": published(server, "flowers_102", packed(tmp_path / "tree", "a.tgz")),
        "flowers_102_labels": published(server, "flowers_102_labels", b"labels"),
        "flowers_102_split": published(server, "flowers_102_split", b"split"),
    }
    folder = tmp_path / "work"
    target = "resources/downloads/flowers_102/contents.txt"
    succeed(folder, "--cores", "1", target, config=study(tmp_path, sources))
    assert (folder / target).read_text() == "imagelabels.mat\njpg/image_00001.jpg\nsetid.mat\n"
    assert (folder / target).with_name("setid.mat").read_bytes() == b"split"


def checkpoint(value: float) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.full((2,), value)}}, stream)
    return stream.getvalue()


@slow
def test_weights_without_a_hash_are_recorded_and_changed_ones_refused(server: FileServer, tmp_path: Path) -> None:
    name, target = "vqgan_imagenet_f16_1024", f"{WEIGHTS}/vqgan_imagenet_f16_1024.ckpt"
    first = checkpoint(1.0)
    url = published(server, name, first)["url"]
    folder, config = tmp_path / "work", study(tmp_path, {name: {"url": url}})
    succeed(folder, "--cores", "1", target, config=config)
    assert yaml.safe_load(record_path(folder / target).read_text())["sha256"] == sha256(first)
    assert planned(folder, target, config=config) == {}
    assert load_checkpoint(folder / target)["weight"].tolist() == [1.0, 1.0]

    # what is there is looked at again, not fetched again
    succeed(folder, "--cores", "1", "--forcerun", "fetch_weights", "--", target, config=config)
    assert len(server.answers) == 1

    (folder / target).write_bytes(checkpoint(2.0))
    with pytest.raises(UserError, match=rf"f16_1024\.ckpt: expected sha256 {sha256(first)}, found .* it changed since"):
        load_checkpoint(folder / target)

    (folder / target).unlink()
    published(server, name, checkpoint(2.0))
    refused(folder, target, config, "vqgan_imagenet_f16_1024.ckpt", sha256(first), "it changed since")


@slow
@pytest.mark.parametrize("keep", [True, False])
def test_weights_in_an_archive_are_taken_out(server: FileServer, tmp_path: Path, keep: bool) -> None:
    inside = tmp_path / "tree/efficientad_pretrained_weights"
    inside.mkdir(parents=True)
    (inside / "pretrained_teacher_small.pth").write_bytes(checkpoint(3.0))
    (inside / "pretrained_teacher_medium.pth").write_bytes(checkpoint(4.0))
    source = published(server, "efficientad_teacher", packed(tmp_path / "tree", "weights.zip"))
    folder, config = tmp_path / "work", study(tmp_path, {"efficientad_teacher": source}, keep=keep)
    target = f"{WEIGHTS}/pretrained_teacher_small.pth"
    succeed(folder, "--cores", "1", target, config=config)
    assert load_checkpoint(folder / target)["weight"].tolist() == [3.0, 3.0]
    assert (folder / ARCHIVES / "efficientad_pretrained_weights.zip").exists() is keep
    assert sorted(path.name for path in (folder / WEIGHTS).iterdir()) == [
        "pretrained_teacher_small.pth",
        "pretrained_teacher_small.pth.sha256.json",
    ]
    assert planned(folder, target, config=config) == {}


@slow
def test_paper_is_planned_without_the_network(server: FileServer, tmp_path: Path) -> None:
    from variad.downloads.catalogue import CATALOGUE

    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    config["downloads"] = {"sources": {name: {"url": server.url(f"/{name}")} for name in CATALOGUE}}
    for dataset in config["datasets"].values():  # one category each: the rest plans the same
        dataset["categories"] = dict([next(iter(dataset["categories"].items()))])
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(config))
    jobs = planned(tmp_path / "work", config=path)
    assert jobs["fetch_archive"] == jobs["unpack_archive"] == 4  # three data sets and the penalty images
    assert jobs["fetch_weights"] == 3  # VQGAN, its YAML, EfficientAD's teacher
    alone = {"fetch_archive": 4, "unpack_archive": 4, "fetch_weights": 3, "downloads": 1}
    assert planned(tmp_path / "work", "downloads", config=path) == alone
    assert server.answers == []


@slow
def test_penalty_images_are_fetched_for_the_detector_that_wants_them(server: FileServer, tmp_path: Path) -> None:
    tree, draw = tmp_path / "tree/imagenette2/train/n01440764", np.random.default_rng(0)
    tree.mkdir(parents=True)
    Image.fromarray(draw.integers(0, 255, (80, 90, 3), dtype=np.uint8)).save(tree / "n01440764_10026.JPEG")
    source = published(server, "imagenette", packed(tmp_path / "tree", "imagenette2.tgz"))
    settings = {"steps": 2, "penalty": "imagenette", "autoencoder": False, "held_out": 0}
    weights = str(ROOT / "resources/pdn_tiny/model.safetensors")
    teacher = {"backbone": "pdn_tiny", "layers": ["features"], "weights": weights, "resolution": 64}
    config = yaml.safe_load(TINY.read_text()) | {
        "downloads": {"sources": {"imagenette": source}},
        "extractors": {"teacher": teacher},
        "detectors": {"efficientad": {"method": "efficientad", "extractor": "teacher", "settings": settings}},
        "training_sets": {"original": {"method": "none"}},
        "study": {"scenarios": ["one_shot"], "training_sets": ["original"], "detectors": ["efficientad"]},
        "predict": {"scenario": "one_shot", "training_set": "original", "detector": "efficientad"},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    target = "results/elpv/mono/one_shot/original/efficientad/model/contents.txt"
    succeed(tmp_path / "work", "--cores", "1", target, config=path)
    _, trained = load_weights((tmp_path / "work" / target).with_name("run_0.safetensors"))
    assert trained["settings"]["penalty"] == "resources/downloads/imagenette"
    assert len(server.answers) == 1
