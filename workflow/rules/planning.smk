import time


# a plan is of the machine that it is asked on
localrules:
    plan,


# what is left of a study and what that costs, and what finished jobs took; nothing else runs
rule plan:
    input:
        costs=ROOT / "benchmarks/rule_costs.csv",
        code=code_of("plan"),
    output:
        table="results/tables/plan.csv",
        page="results/tables/plan.md",
    log:
        "results/logs/plan.log",
    benchmark:
        "results/benchmarks/plan.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        asked=time.time(),  # it describes the present, so it is made anew whenever it is asked for
        python=sys.executable,  # the one that has Snakemake
        snakefile=workflow.main_snakefile,
        given=GIVEN_CONFIG,
        config=config,
    script:
        "../../scripts/plan.py"
