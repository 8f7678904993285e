include: "prompts_inputs.smk"


# WordNet's dictionary as NLTK reads it, from a package or downloaded
rule fetch_wordnet:
    output:
        dictionary=directory("resources/downloads/wordnet/corpora/wordnet"),
    conda:
        "../../envs/variad.yaml"
    params:
        source=config["wordnet"]["source"],
    script:
        "../../scripts/fetch_wordnet.py"


# words around the class name, and the prompts made from them
rule list_candidates:
    input:
        wordnet=lambda wildcards: [] if wildcards.word_source == "wordlist" else rules.fetch_wordnet.output.dictionary,
        wordlist=wordlist_of,
    output:
        candidates="results/{dataset}/{category}/candidates/{word_source}.csv",
    # the longest jobs wait for it, as for the next two: they would be the last, and leave the other cores idle
    priority: 10
    conda:
        "../../envs/variad.yaml"
    resources:
        **job(1500),
    params:
        class_name=class_name,
        settings=lambda wildcards: {
            key: prompt_settings(wildcards.dataset)[key] for key in ("words_per_round", "rounds", "template")
        },
        seed=config["run"]["seed"],
    script:
        "../../scripts/list_candidates.py"


# every distinct prompt, embedded once for all scenarios and runs
rule embed_candidates:
    input:
        candidates=rules.list_candidates.output.candidates,
        encoder=lambda wildcards: encoder_files(wildcards.encoder),
    output:
        texts="results/{dataset}/{category}/texts/{encoder}.{word_source}.h5",
    priority: 10
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000, 8000),
    params:
        encoder=lambda wildcards: config["encoders"][wildcards.encoder],
    script:
        "../../scripts/embed_candidates.py"


# similarity of every prompt to the shots of every run; best and worst prompt
rule score_prompts:
    input:
        candidates=rules.list_candidates.output.candidates,
        texts=rules.embed_candidates.output.texts,
        images=of_split("train", rules.pack_category.output.images),
        shots=rules.sample_shots.output.shots,
        encoder=lambda wildcards: encoder_files(wildcards.encoder),
    output:
        scores="results/{dataset}/{category}/{scenario}/prompts/{encoder}.{word_source}.csv",
        choice="results/{dataset}/{category}/{scenario}/prompts/{encoder}.{word_source}.json",
    priority: 10
    conda:
        "../../envs/variad.yaml"
    resources:
        **gpu_job(3000, 8000),
    params:
        encoder=lambda wildcards: config["encoders"][wildcards.encoder],
        class_name=class_name,
    script:
        "../../scripts/score_prompts.py"
