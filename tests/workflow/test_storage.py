"""Results on object storage: Snakemake's S3 plugin against a server on this machine."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from .running import TINY, succeed

pytest.importorskip("snakemake_storage_plugin_s3", reason="the S3 plugin of Snakemake is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto, a server that speaks S3, is not installed")
pytestmark = pytest.mark.slow

CELL = "results/textures/brick/one_shot/original/patchcore"
STORED = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/study", "--cores", "1")


@pytest.fixture
def bucket(monkeypatch, caplog) -> Iterator[Any]:
    caplog.set_level(logging.WARNING, "werkzeug")  # else a line a request
    boto3 = pytest.importorskip("boto3")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in (("ENDPOINT_URL", address), ("ACCESS_KEY", "any"), ("SECRET_KEY", "any")):
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    opened = boto3.resource("s3", endpoint_url=address, aws_access_key_id="any", aws_secret_access_key="any")
    yield opened.create_bucket(Bucket="bucket")
    server.stop()


@pytest.fixture
def study(tmp_path) -> Path:
    """The tiny study with the shots alone, in one category."""
    config = yaml.safe_load(TINY.read_text("utf-8"))
    del config["datasets"]["elpv"]
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config), "utf-8")
    return tmp_path / "study.yaml"


def content(bucket: Any, name: str) -> bytes:
    found: bytes = bucket.Object(f"study/{name}").get()["Body"].read()
    return found


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_results_in_a_bucket_are_those_of_a_disk_and_another_machine_goes_on_from_them(tmp_path, study, bucket):
    plain, first, second = (folder(tmp_path, name) for name in ("plain", "first", "second"))
    succeed(plain, "--cores", "1", f"{CELL}/heatmaps.png", config=study)
    succeed(first, *STORED, f"{CELL}/scores.csv", config=study)

    keys = {item.key.removeprefix("study/") for item in bucket.objects.all()}
    listed = (plain / CELL / "maps/contents.txt").read_text("utf-8").splitlines()
    assert len(listed) == 32 + 4 * 8 and {f"{CELL}/maps/{name}" for name in listed} <= keys
    assert {f"{CELL}/model/run_{run}.safetensors" for run in (0, 1)} <= keys
    for name in ("scores.csv", "metrics.csv", f"maps/{listed[0]}", "model/run_1.safetensors"):
        assert content(bucket, f"{CELL}/{name}") == (plain / CELL / name).read_bytes()
    assert not (first / "results").exists()
    assert not list(first.rglob("*.tiff")) and not list(first.rglob("*.safetensors"))  # they went with their lists

    # a machine that has nothing of it fetches what one job needs, a folder of maps among it
    said = succeed(second, *STORED, f"{CELL}/heatmaps.png", config=study)
    assert "1 of 1 jobs done" in said and "Retrieving" not in said
    assert content(bucket, f"{CELL}/heatmaps.png") == (plain / CELL / "heatmaps.png").read_bytes()
    again = succeed(first, *STORED, f"{CELL}/heatmaps.png", config=study)
    assert "Nothing to be done" in again


def test_a_new_photograph_is_found_where_its_record_is_in_a_bucket(tmp_path, bucket):
    work, good = folder(tmp_path, "work"), tmp_path / "work/photos/lid/train/good"
    good.mkdir(parents=True)
    config = yaml.safe_load(TINY.read_text("utf-8"))
    config["datasets"] = {
        "mine": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "bottle lid"}}}
    }
    (work / "study.yaml").write_text(yaml.safe_dump(config), "utf-8")
    target, photograph = "results/mine/lid/train/images.h5", np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    for number in (0, 1):
        Image.fromarray(photograph + np.uint8(number)).save(good / f"{number}.png")
        succeed(work, *STORED, target, config=work / "study.yaml")
        rows = content(bucket, "results/mine/lid/train/manifest.csv").decode().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == [f"train/good/{seen}" for seen in range(number + 1)]
    assert "Nothing to be done" in succeed(work, *STORED, target, config=work / "study.yaml")
