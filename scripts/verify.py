"""Adapter of rule verify: all results beside their checksums; damage is named and removed, with what makes it anew."""

import shlex
import sys

from variad.core.checksums import remove, verify
from variad.core.errors import UserError
from variad.core.job import job, results_folder

SHOWN = 20  # lines of a kind on the terminal; the log has all

with job(snakemake) as at:
    results = results_folder(snakemake)
    found = verify(results, at.threads)
    lines = [f"{damage}" for damage in found.damages]
    lines += [f"{path}: no checksum was recorded for it" for path in found.unrecorded]
    for line in lines:
        at.log.info("%s", line)
    for line in lines[:SHOWN]:
        print(line, file=sys.stderr)
    compared = f"{results}: {found.files:,} files ({found.size / 1e6:,.0f} MB) compared with their checksums"
    told = f"{compared}, {len(found.damages):,} damaged or gone; {len(found.unrecorded):,} others have none"
    told += f"; all are in {snakemake.log[0]}" if len(lines) > SHOWN else ""
    at.log.info("%s", told)
    print(told, file=sys.stderr)
    if found.damages:
        remove(found.damages)
        outputs = dict.fromkeys(str(damage.output) for damage in found.damages)
        command = shlex.join(["snakemake", "--cores", "all", *outputs, *snakemake.params.options])
        at.log.info("%s", command)
        short = f": {command}" if len(outputs) <= SHOWN else f" at the end of {snakemake.log[0]}"
        raise UserError(
            f"{len(outputs)} outputs were damaged, and are removed now: the next run makes anew what it needs of them, "
            f"and all of them the command{short}"
        )
