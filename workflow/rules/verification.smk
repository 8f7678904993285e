# compare all results with the checksums of when they were made; what is damaged is named, and removed to be made anew. The rule
# leaves no file, so that it runs whenever it is asked for
rule verify:
    input:
        code=code_of("verify"),
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../../envs/variad.yaml"
    threads: 4
    params:
        options=given_options(workflow),
    script:
        "../../scripts/verify.py"
