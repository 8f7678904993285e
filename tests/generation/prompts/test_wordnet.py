from pathlib import Path

import pytest

from variad.core.errors import UserError
from variad.generation.wordnet import (
    class_synsets,
    convert_dictionary,
    fetch_wordnet,
    neighbours,
    open_wordnet,
    single_words,
)


@pytest.fixture(scope="module")
def reader(wordnet):
    return open_wordnet(wordnet)


def test_line_ends_become_one_byte(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "data.noun").write_bytes(b"00001740 03\r\nsecond\r\n")
    (source / "data.verb").write_bytes(b"already\n")
    convert_dictionary(source, tmp_path / "target")
    assert (tmp_path / "target" / "data.noun").read_bytes() == b"00001740 03\nsecond\n"
    assert (tmp_path / "target" / "data.verb").read_bytes() == b"already\n"


@pytest.mark.slow
def test_packaged_dictionary_is_whole(reader):
    assert reader.get_version() == "3.0"
    assert sum(1 for _ in reader.all_synsets()) == 117_659
    assert len(single_words(reader)) == 83_118


@pytest.mark.slow
@pytest.mark.parametrize(
    "class_name, known, first",
    [
        ("solar cell", "solar cell", "solar_cell.n.01"),
        ("solar_cell", "solar cell", "solar_cell.n.01"),
        ("metal_nut", "nut", "nut.n.01"),
        ("Brick", "Brick", "brick.n.01"),
        ("splicing connectors", "connectors", "connection.n.03"),
    ],
)
def test_a_class_is_found_whole_or_by_its_head_noun(reader, class_name, known, first):
    name, synsets = class_synsets(reader, class_name)
    assert name == known
    assert synsets[0].name() == first
    assert all(synset.pos() == "n" for synset in synsets)


@pytest.mark.slow
@pytest.mark.parametrize("class_name", ["qwxyz", "metal qwxyz", "01"])
def test_a_class_without_a_noun(reader, class_name):
    with pytest.raises(UserError, match="expected a name that ends in a noun of WordNet"):
        class_synsets(reader, class_name)


@pytest.mark.slow
def test_neighbours_of_a_toothbrush(reader):
    around = {(relation, synset.name()) for relation, synset in neighbours(reader.synset("toothbrush.n.01"))}
    assert ("hypernym", "brush.n.02") in around
    assert ("hyponym", "electric_toothbrush.n.01") in around
    parts = {(relation, synset.name()) for relation, synset in neighbours(reader.synset("brush.n.02"))}
    assert ("meronym", "bristle.n.01") in parts
    wholes = {(relation, synset.name()) for relation, synset in neighbours(reader.synset("bristle.n.01"))}
    assert ("holonym", "brush.n.02") in wholes


def test_unknown_source(tmp_path):
    with pytest.raises(UserError, match="expected one of package, nltk, found 'web'"):
        fetch_wordnet("web", tmp_path / "wordnet")


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="expected this package"):
        fetch_wordnet("package", tmp_path / "wordnet")
    assert list(tmp_path.iterdir()) == []


def test_download_replaces_what_is_there(tmp_path, monkeypatch):
    def download(name, download_dir, quiet):
        folder = Path(download_dir) / "corpora" / name
        folder.mkdir(parents=True)
        (folder / "data.noun").write_text("new")
        return True

    monkeypatch.setattr("nltk.download", download)
    target = tmp_path / "corpora" / "wordnet"
    target.mkdir(parents=True)
    (target / "old").write_text("old")
    fetch_wordnet("nltk", target)
    assert [path.name for path in target.iterdir()] == ["data.noun"]
    assert [path.name for path in target.parent.iterdir()] == ["wordnet"]


def test_download_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr("nltk.download", lambda *_, **__: False)
    with pytest.raises(UserError, match="expected NLTK to download WordNet"):
        fetch_wordnet("nltk", tmp_path / "wordnet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_dictionary(tmp_path):
    with pytest.raises(UserError, match="expected a WordNet dictionary"):
        open_wordnet(tmp_path)
