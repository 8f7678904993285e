"""The catalogue: consistent in itself, and fetched by its own rules."""

import dataclasses
import hashlib
import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.downloads.server import FileServer
from variad.core.errors import UserError
from variad.core.files import record_path
from variad.downloads.catalogue import (
    ARCHIVES,
    BESIDE,
    CATALOGUE,
    DATASETS,
    WEIGHTS,
    WEIGHTS_FILES,
    Expected,
    Source,
    find_source,
    read_catalogue,
)
from variad.downloads.sources import fetch_source, licence_notice


def test_names_and_files_are_different() -> None:
    assert len(CATALOGUE) == len(DATASETS) + len(WEIGHTS)
    assert len({source.file_name for source in CATALOGUE.values()}) == len(CATALOGUE)
    assert len({source.url for source in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_have_a_published_hash(name: str) -> None:
    assert DATASETS[name].expected.hashed


@pytest.mark.parametrize("name", CATALOGUE)
def test_plain_text_only_with_a_hash(name: str) -> None:
    source = CATALOGUE[name]
    assert urlsplit(source.url).scheme == "https" or source.expected.hashed
    assert Path(source.file_name).name == source.file_name


def test_industrial_data_sets_say_that_they_are_not_for_commerce() -> None:
    for name in ("mvtec_ad", "btad", "mvtec_loco"):
        assert "licence CC BY-NC-SA 4.0: no commercial use" in licence_notice(CATALOGUE[name])
    assert "ask its publisher" in licence_notice(CATALOGUE["flowers_102"])


def test_sizes_are_exact_or_rough() -> None:
    assert CATALOGUE["cub"].bytes_about == 1_150_585_339
    assert CATALOGUE["mvtec_ad"].bytes_about == 5_260_000_000
    assert CATALOGUE["btad"].bytes_about is None


def test_every_download_is_unpacked_or_put_beside_one_or_is_weights() -> None:
    beside = {name for names in BESIDE.values() for name in names}
    assert set(ARCHIVES) | beside == set(DATASETS) and set(BESIDE) <= set(ARCHIVES)
    assert WEIGHTS_FILES["pretrained_teacher_small.pth"] == "efficientad_teacher"
    assert WEIGHTS_FILES["vqgan_imagenet_f16_16384.ckpt"] == "vqgan_imagenet_f16_16384"
    assert "efficientad_pretrained_weights.zip" not in WEIGHTS_FILES
    assert set(WEIGHTS_FILES.values()) == set(WEIGHTS)


@pytest.mark.parametrize("name", CATALOGUE)
def test_documentation_lists_it(name: str) -> None:
    assert f"`{name}`" in Path("docs/operations.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("{url: 'http://a/b.zip'}", r".*'title' and 'home'"),
        ("{title: A, home: h}", "'url'"),
        ("{title: A, home: h, url: 'http://a/b.zip', sha256: abc}", "sha256: expected 64 hexadecimal digits"),
        ("{title: A, home: h, url: 'http://a/b.zip', hash: abc}", ".*unexpected keyword argument 'hash'"),
    ],
)
def test_entries_are_checked_when_they_are_read(tmp_path: Path, entry: str, found: str) -> None:
    (tmp_path / "downloads.yaml").write_text(f"datasets: {{things: {entry}}}")
    with pytest.raises(UserError, match=f"downloads.yaml: expected what a download is under 'things', found: {found}"):
        read_catalogue(tmp_path / "downloads.yaml")


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"download: expected one of mvtec_ad, btad, .*, found 'mnist'"):
        find_source("mnist")


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.usefixtures("waits")
def test_source_is_fetched_and_its_licence_said(
    server: FileServer, content: bytes, tmp_path: Path, hashed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    expected = Expected(sha256=hashlib.sha256(content).hexdigest()) if hashed else Expected()
    source = Source("Things", server.publish("/a?p=%2Fb&dl=1", content), "things.zip", "http://home", expected)
    source = dataclasses.replace(source, licence="MIT")
    logger = logging.getLogger("variad.downloads")
    with caplog.at_level(logging.INFO, logger=logger.name):
        logger.addHandler(caplog.handler)  # itself: a job of an earlier test may have cut off its parents
        fetched = fetch_source(source, tmp_path / "downloads")
        logger.removeHandler(caplog.handler)
    assert fetched.path == tmp_path / "downloads" / "things.zip"
    assert fetched.path.read_bytes() == content
    assert caplog.messages[0] == "Things: licence MIT (http://home)"
    assert record_path(fetched.path).exists() is not hashed
