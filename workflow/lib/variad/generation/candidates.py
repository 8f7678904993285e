"""Candidate words, and the prompts made from them (first document, keyword-to-prompt)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variad.core.errors import UserError
from variad.generation.wordnet import class_synsets, neighbours, open_wordnet, single_words

SOURCES = ("wordnet_related", "wordnet_all", "wordlist")
Words = list[tuple[str, str]]  # (word, how it was found), in the order of the rounds


def list_words(
    source: str,
    class_name: str,
    count: int,
    generator: np.random.Generator,
    wordnet: str | Path | None = None,
    wordlist: str | Path | None = None,
) -> Words:
    """At most ``count`` distinct words from one source; fewer where it is exhausted.

    Args:
        source: ``wordnet_related``, ``wordnet_all`` or ``wordlist``.
        wordnet: folder of the dictionary; wordlist: text file, one word a line.

    Raises:
        UserError: an unknown source, or its file is missing or empty.
    """
    if source == "wordlist":
        return read_wordlist(wordlist)[:count]
    if source not in SOURCES:
        raise UserError(f"config key prompts.word_source: expected one of {', '.join(SOURCES)}, found '{source}'.")
    if wordnet is None:
        raise UserError(f"word source {source}: expected the folder of a WordNet dictionary, found none.")
    reader = open_wordnet(wordnet)
    if source == "wordnet_all":
        words = np.array(single_words(reader), dtype=object)
        return [(str(word), "wordnet") for word in generator.permutation(words)[:count]]
    return related_words(reader, class_name, count, generator)


def related_words(reader: Any, class_name: str, count: int, generator: np.random.Generator) -> Words:
    """Lemmas around the class's synsets, nearest first, widened one relation at a time until there are enough.

    The relation of a word is the path to it, such as ``hypernym>hyponym``. Where a step finds more words than are
    missing they are drawn at random. The class's own name is left out.

    Raises:
        UserError: WordNet knows neither the class name nor its head noun.
    """
    head, synsets = class_synsets(reader, class_name)
    known = {head.lower(), class_name.replace("_", " ").lower()}
    seen, step = set(synsets), [("synonym", synset) for synset in synsets]
    words: Words = []
    while step and len(words) < count:
        fresh: Words = []
        for relation, synset in step:
            for word in (name.replace("_", " ") for name in synset.lemma_names()):
                if word.lower() not in known:
                    known.add(word.lower())
                    fresh.append((word, relation))
        missing = count - len(words)
        if len(fresh) > missing:
            fresh = [fresh[index] for index in sorted(generator.choice(len(fresh), missing, replace=False))]
        words += fresh
        step = _widen(step, seen)
    return words


def read_wordlist(path: str | Path | None) -> Words:
    """The distinct words of a UTF-8 file, one a line, in its order.

    Raises:
        UserError: no file is given, it is missing, is not UTF-8, or holds no word.
    """
    if path is None:
        raise UserError("config key prompts.wordlist: expected a file with one word a line, found none.")
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a UTF-8 file with one word a line, found: {error}.") from error
    words = dict.fromkeys(line.strip() for line in lines if line.strip())
    if not words:
        raise UserError(f"{path}: expected at least one word, found none.")
    return [(word, "wordlist") for word in words]


def make_candidates(
    words: Sequence[tuple[str, str]], class_name: str, words_per_round: int, template: str
) -> pd.DataFrame:
    """The table ``candidates``: every word in its round, and its prompt; underscores become spaces.

    Args:
        template: with ``{class_name}`` and ``{word}``; the first document's is ``a {class_name} with {word}``.

    Raises:
        UserError: as ``fill_template``.
    """
    name = class_name.replace("_", " ")
    texts = [word.replace("_", " ") for word, _ in words]
    return pd.DataFrame(
        {
            "round": np.arange(len(words)) // words_per_round,
            "word": texts,
            "relation": [relation for _, relation in words],
            "prompt": [fill_template(template, name, text) for text in texts],
        }
    )


def fill_template(template: str, class_name: str, word: str) -> str:
    """Put a class name and a word into a template.

    Raises:
        UserError: the template lacks ``{word}`` or has another placeholder.
    """
    try:
        prompt = template.format(class_name=class_name, word=word)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"config key prompts.template: expected {{class_name}} and {{word}} in '{template}', found {error}."
        ) from error
    if "{word}" not in template:
        raise UserError(f"config key prompts.template: expected {{word}} in '{template}', found none.")
    return prompt


def _widen(step: Sequence[tuple[str, Any]], seen: set[Any]) -> list[tuple[str, Any]]:
    """The synsets one relation further away, each by the first path that leads to it."""
    wider = []
    for path, synset in step:
        for relation, other in neighbours(synset):
            if other not in seen:
                seen.add(other)
                wider.append((relation if path == "synonym" else f"{path}>{relation}", other))
    return wider
