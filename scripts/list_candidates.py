"""Adapter of rule list_candidates: a class name in, words and prompts out."""

from variad.core.job import job
from variad.core.seeding import numpy_generator
from variad.core.tables import write_table
from variad.generation.candidates import list_words, make_candidates

with job(snakemake) as at:
    source, name, settings = snakemake.wildcards.word_source, snakemake.params.class_name, snakemake.params.settings
    wanted = settings["words_per_round"] * settings["rounds"]
    # Categories of one class name get the same words, so that their scores can be compared.
    generator = numpy_generator(snakemake.params.seed, "candidates", source, name)
    given = snakemake.input
    words = list_words(source, name, wanted, generator, given.get("wordnet") or None, given.get("wordlist") or None)
    at.log.info("%d of the %d words wanted", len(words), wanted)
    candidates = make_candidates(words, name, settings["words_per_round"], settings["template"])
    write_table(snakemake.output.candidates, candidates, "candidates")
