"""Adapter of rule plan: Snakemake's dry run, costs and benchmark files in; a table and a page out, which is printed."""

from variad.core.files import writing
from variad.core.job import job
from variad.core.tables import write_table
from variad.study.jobs import dry_run, finished_jobs, pending_jobs, took_of
from variad.study.plan import StudyPlan, plan_page, plan_table
from variad.study.sizes import Study, sizes_of
from variad.study.work import read_costs

with job(snakemake) as at:
    asked, out = snakemake.params, snakemake.output
    pending = pending_jobs(dry_run(asked.python, asked.snakefile, asked.given, asked.config["plan"]["targets"]))
    study, file = Study(asked.config, sizes_of(asked.config)), snakemake.input.costs
    plan = StudyPlan(study, read_costs(file), pending, took_of(finished_jobs(), pending), read_costs(file, "cuda"))
    write_table(out.table, plan_table(plan), "plan")
    page = plan_page(plan)
    with writing(out.page) as temporary:
        temporary.write_text(page, "utf-8")
    at.log.info("%d jobs left, %d done", len(pending), len(plan.took))
    print(f"\n{page}", flush=True)
