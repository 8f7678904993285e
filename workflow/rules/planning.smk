import time


# what is left of a study and what that costs, and what finished jobs took; nothing else runs
rule plan:
    input:
        costs=ROOT / "benchmarks/rule_costs.csv",
    output:
        table="results/tables/plan.csv",
        page="results/tables/plan.md",
    localrule: True  # it is of the machine that it is asked on
    conda:
        "../../envs/variad.yaml"
    params:
        asked=time.time(),  # it describes the present, so it is made anew whenever it is asked for
        python=sys.executable,  # the one that has Snakemake
        snakefile=workflow.main_snakefile,
        given=GIVEN_CONFIG,
        config=config,
    script:
        "../../scripts/plan.py"
