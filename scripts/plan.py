"""Adapter of rule plan: Snakemake's dry run, costs and benchmark files in; a table and a page out, which is printed."""

import os

from variad.core.files import writing
from variad.core.job import job
from variad.core.tables import write_table
from variad.study.costs import estimate, plan_table, read_costs, took_of
from variad.study.jobs import dry_run, finished_jobs, pending_jobs
from variad.study.plan import StudyPlan, downloads, render, result_total
from variad.study.sizes import Study, sizes_of
from variad.study.work import images_and_steps

with job(snakemake) as at:
    config, asked = snakemake.params.config, snakemake.params
    targets = config["plan"]["targets"]
    pending = pending_jobs(dry_run(asked.python, asked.snakefile, asked.given, targets))
    study, costs = Study(config, sizes_of(config)), read_costs(snakemake.input.costs)
    took = took_of(finished_jobs(), pending)
    left, done = estimate(pending, study, costs), estimate(took, study, costs)
    table = plan_table(pending, left, done, took)
    write_table(snakemake.output.table, table, "plan")
    images, steps = images_and_steps(pending, study)
    page = render(
        StudyPlan(
            targets, costs.machine, config["plan"]["cores"] or os.cpu_count() or 1, bool(config["run"]["gpu"]), table,
            left, done, took, images, steps, result_total(pending, study), downloads(pending),
        )
    )  # fmt: skip
    with writing(snakemake.output.page) as temporary:
        temporary.write_text(page, "utf-8")
    at.log.info("%d jobs left, %d done", len(pending), len(took))
    print(f"\n{page}", flush=True)
