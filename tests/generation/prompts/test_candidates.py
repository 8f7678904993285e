import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.generation.candidates import fill_template, list_words, make_candidates, read_wordlist, related_words
from variad.generation.wordnet import neighbours

TEMPLATE = "a {class_name} with {word}"


class Synset:
    """A node of a small WordNet."""

    def __init__(self, *lemmas, **relations):
        self.lemmas = lemmas
        self.relations = relations

    def name(self):
        return self.lemmas[0]

    def lemma_names(self):
        return list(self.lemmas)

    def __getattr__(self, name):
        return lambda: self.relations.get(name, [])


class Reader:
    def __init__(self):
        self.bolt = Synset("bolt", "Nut")
        self.thread = Synset("thread", "screw_thread")
        self.fastener = Synset("fastener", "fixing", hyponyms=[self.bolt])
        self.nut = Synset("nut", "metal_nut", "hex", hypernyms=[self.fastener], part_meronyms=[self.thread])
        self.fastener.relations["hyponyms"].append(self.nut)

    def synsets(self, name, pos):
        return [self.nut] if name == "nut" else []


def generator(seed=0):
    return np.random.default_rng(seed)


def test_related_words_by_hand():
    # The class's name and its head noun are left out, whatever their case; the walk does not turn back to `nut`.
    assert related_words(Reader(), "metal_nut", 100, generator()) == [
        ("hex", "synonym"),
        ("fastener", "hypernym"),
        ("fixing", "hypernym"),
        ("thread", "meronym"),
        ("screw thread", "meronym"),
        ("bolt", "hypernym>hyponym"),
    ]


def test_order_does_not_depend_on_the_order_of_pointers():
    pointers = [Synset(name) for name in ("hex", "wing", "cap", "lock")]
    forward = Synset("nut", hyponyms=pointers, part_meronyms=pointers[:2], substance_meronyms=pointers[2:])
    backward = Synset("nut", hyponyms=pointers[::-1], part_meronyms=pointers[1::-1], substance_meronyms=pointers[:1:-1])
    assert list(neighbours(forward)) == list(neighbours(backward))


def test_related_words_widen_only_as_far_as_needed():
    words = related_words(Reader(), "metal nut", 3, generator())
    assert words[0] == ("hex", "synonym")
    assert len(words) == 3
    assert {relation for _, relation in words[1:]} <= {"hypernym", "meronym"}
    drawn = {tuple(related_words(Reader(), "metal nut", 3, generator(seed))) for seed in range(20)}
    assert len(drawn) > 1
    assert related_words(Reader(), "metal nut", 3, generator(7)) == related_words(
        Reader(), "metal nut", 3, generator(7)
    )


@pytest.mark.slow
def test_words_related_to_a_solar_cell(wordnet):
    words = dict(list_words("wordnet_related", "solar cell", 200, generator(), wordnet=wordnet))
    assert len(words) == 200
    assert words["photovoltaic cell"] == "synonym"
    assert words["electric cell"] == "hypernym"
    assert words["electrical device"] == "hypernym>hypernym"
    assert words["solar array"] == "holonym"
    assert "solar cell" not in words


@pytest.mark.slow
def test_words_do_not_depend_on_the_process(wordnet):
    code = (
        "import numpy as np; from variad.generation.candidates import list_words;"
        f"print(list_words('wordnet_related', 'nut', 300, np.random.default_rng(0), wordnet={str(wordnet)!r}))"
    )
    outputs = set()
    for seed in "12":
        environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 300


@pytest.mark.slow
def test_head_noun_stands_in_for_a_compound(wordnet):
    words = [word for word, _ in list_words("wordnet_related", "metal_nut", 300, generator(), wordnet=wordnet)]
    assert {"wing nut", "screw thread"} & set(words)
    assert not {"nut", "metal nut"} & {word.lower() for word in words}


@pytest.mark.slow
def test_all_words_are_drawn_without_replacement_until_exhausted(wordnet):
    few = list_words("wordnet_all", "brick", 500, generator(1), wordnet=wordnet)
    assert few == list_words("wordnet_all", "brick", 500, generator(1), wordnet=wordnet)
    assert few != list_words("wordnet_all", "brick", 500, generator(2), wordnet=wordnet)
    every = list_words("wordnet_all", "brick", 10**6, generator(1), wordnet=wordnet)
    assert every[:500] == few
    assert len(every) == len(set(every)) == 83_118
    assert not any("_" in word for word, _ in every)


def test_wordlist_keeps_its_order_and_drops_blanks_and_repeats(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffmoss\r\n\r\n  Käfer \nmoss\nice cream\n".encode())
    assert read_wordlist(path) == [("moss", "wordlist"), ("Käfer", "wordlist"), ("ice cream", "wordlist")]
    assert list_words("wordlist", "brick", 2, generator(), wordlist=path) == read_wordlist(path)[:2]


@pytest.mark.parametrize("content, message", [(b" \n\n", "at least one word"), (b"\xff\xfe\x00", "UTF-8")])
def test_wordlist_without_words(tmp_path, content, message):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list_words("wordlist", "brick", 1, generator(), wordlist=path)


def test_wordlist_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"words\.txt: expected a UTF-8 file.*No such file"):
        list_words("wordlist", "brick", 1, generator(), wordlist=tmp_path / "words.txt")
    with pytest.raises(UserError, match=r"prompts\.wordlist: expected a file"):
        list_words("wordlist", "brick", 1, generator())


def test_unknown_source_and_missing_dictionary():
    with pytest.raises(UserError, match="expected one of wordnet_related, wordnet_all, wordlist, found 'google'"):
        list_words("google", "brick", 1, generator())
    with pytest.raises(UserError, match="wordnet_all: expected the folder"):
        list_words("wordnet_all", "brick", 1, generator())


def test_candidates_table(tmp_path):
    words = [("moss", "hyponym"), ("ice_cream", "wordnet"), ("nan", "wordnet")]
    frame = make_candidates(words, "metal_nut", 2, TEMPLATE)
    assert list(frame["round"]) == [0, 0, 1]
    assert list(frame["prompt"]) == ["a metal nut with moss", "a metal nut with ice cream", "a metal nut with nan"]
    write_table(tmp_path / "candidates.csv", frame, "candidates")
    again = read_table(tmp_path / "candidates.csv", "candidates")
    assert again.to_dict("list") == frame.to_dict("list")


def test_rounds_hold_the_same_number_of_words():
    frame = make_candidates([(f"word{index}", "wordnet") for index in range(10)], "brick", 4, TEMPLATE)
    assert Counter(frame["round"]) == {0: 4, 1: 4, 2: 2}


@pytest.mark.parametrize("template", ["a {class_name}", "{word} {other}", "{word} {", "{0} {word}"])
def test_templates_that_cannot_be_filled(template):
    with pytest.raises(UserError, match=r"prompts\.template: expected"):
        fill_template(template, "brick", "moss")
