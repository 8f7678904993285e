# the settings of prompts, and what names the prompts of a training set


def prompt_settings(dataset):
    """The settings of the prompts section, with those of the data set in their place."""
    return merged(config["prompts"], config["datasets"][dataset]["prompts"])


def wordlist_of(wildcards):
    """The user's list of words, for prompts that are made of one."""
    if wildcards.word_source != "wordlist":
        return []
    own = "wordlist" in dataset_of(wildcards)["prompts"]
    key = f"datasets.{wildcards.dataset}.prompts" if own else "prompts"
    return named_file(prompt_settings(wildcards.dataset)["wordlist"], f"{key}.wordlist")


def prompts_of(place, encoder):
    """A place with the names of its prompts: encoder and word source."""
    return {**place, "encoder": encoder, "word_source": prompt_settings(place["dataset"])["word_source"]}


def study_prompts(places=None):
    """The prompts of those of the study's training sets that are guided by text."""
    return prompts_that_guide(study_training_sets(places))


def prompts_that_guide(training_sets):
    """The prompts of those training sets, named by place, that are guided by text."""
    recipes = [(place, config["training_sets"][place["training_set"]]) for place in training_sets]
    return [prompts_of(place, recipe["encoder"]) for place, recipe in recipes if is_guided(recipe)]
