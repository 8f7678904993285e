"""Images to be made, and steps of their optimisation."""

from collections.abc import Iterable

from variad.planning.jobs import Job, wildcards_of
from variad.planning.study import Study


def images_and_steps(jobs: Iterable[Job], study: Study) -> tuple[tuple[int, int], int]:
    """Of the jobs ``build_training_set``: (added images, training sets of which that is not known), and steps."""
    images, unknown, steps = 0, 0, 0
    for job in jobs:
        names = wildcards_of(job, study.config) if job.rule == "build_training_set" else None
        if names is None:
            continue
        added, of_a_run = study.added(names), study.optimisation_steps(names)
        if added is None or of_a_run is None:
            unknown += 1
        else:
            images += study.runs(names) * added
            steps += study.runs(names) * of_a_run
    return (images, unknown), steps
