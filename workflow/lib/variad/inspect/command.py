"""The command ``variad-inspect``: photographs in; rows, heat maps, a page and an exit status out.

Rows go to standard output as they come, everything that is for a person to standard error. What the inspector needs is
imported only when the arguments are in order, so that help and mistakes are there at once.
"""

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from variad.core.errors import UserError
from variad.core.shortages import shortage
from variad.core.temporaries import clear_leftovers

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspection, Inspector
    from variad.inspect.outputs import Tally

MISTAKE = 1  # exit status; those of an inspection: ``outputs``
INTERRUPTED, NOBODY_READS = 128 + signal.SIGINT, 128 + 13  # as shells say it
DRIFT_WINDOW = 50  # photographs of a watch whose scores are compared with held-out ones, one window after another
NAMED = 20  # files that the summary names
DESCRIPTION = "Inspect photographs with a trained detector: is it good, and if not, where is it odd?"
EPILOG = """\
examples:
  variad-inspect lid.variad photos/                      a folder, with all in it; rows as CSV
  variad-inspect lid.variad 'photos/**/*.png' > lid.csv  a pattern
  variad-inspect lid.variad photos/ --report page.html   a page to look at, worst first
  variad-inspect lid.variad photos/ --fail-above bad     for scripts: exit status 3 if one is bad
  variad-inspect lid.variad --watch line/ --output line.csv   what a camera writes, for ever; end it with Ctrl-C
  variad-inspect lid.variad --serve                      a page to drop photographs on, for this machine alone

columns: path, score, calibrated (share of held-out good photographs that score less), answer (good, look, bad),
  threshold (of bad), multiple (score / threshold), regions (how many), left, top, width, height, area (pixels of the
  photograph) and peak of the largest region, remark (why the score may be worth less), error

exit status: 0 all inspected; 1 a mistake in the command, or the bundle; 2 a file could not be read (the rest was
  inspected); 3 --fail-above found one (whether or not all could be read); 130 interrupted; 141 nobody reads the rows
"""


class _Parser(argparse.ArgumentParser):
    """One whose mistakes have exit status 1 and one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see {self.prog} --help.", file=sys.stderr)
        raise SystemExit(MISTAKE)


def parser() -> argparse.ArgumentParser:
    """The arguments of ``variad-inspect``."""
    made = _Parser(
        prog="variad-inspect",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("bundle", metavar="BUNDLE", help="the detector: a file <product>.variad")
    made.add_argument("paths", metavar="PATH", nargs="*", help="photographs, folders (with all in them) or patterns")
    out = made.add_argument_group("what comes out")
    out.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="of the rows; jsonl has all regions")
    out.add_argument("--heatmaps", metavar="DIR", type=Path, help="write <photograph>.png, its map over it, into DIR")
    out.add_argument("--report", metavar="PAGE.html", type=Path, help="write a page with all photographs and maps")
    out.add_argument(
        "--fail-above",
        metavar="SHARE|look|bad",
        type=_limit,
        help="exit status 3 if a photograph has that answer or a worse one, or a calibrated score above SHARE (0 to 1)",
    )
    out.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no summary")
    line = made.add_argument_group("watching a folder")
    line.add_argument("--watch", metavar="FOLDER", type=Path, help="inspect what gets into FOLDER, each file once")
    line.add_argument("--output", metavar="FILE.csv", type=Path, help="of --watch: its rows, and what it has seen")
    line.add_argument(
        "--settle", metavar="S", type=_seconds, default=1.0, help="a file is complete after S seconds (1)"
    )
    line.add_argument(
        "--give-up", metavar="S", type=_seconds, default=30.0, help="report a bad file after S seconds (30)"
    )
    page = made.add_argument_group("a page to drop photographs on")
    page.add_argument("--serve", action="store_true", help="serve it until Ctrl-C, and print its address")
    page.add_argument("--port", metavar="N", type=int, help="of the address (8765); 0 takes a free one")
    page.add_argument("--host", metavar="ADDRESS", help="of this machine; any but 127.0.0.1 lets other machines in")
    how = made.add_argument_group("how")
    how.add_argument("--device", type=_device, default="cpu", help="cpu (default), cuda or cuda:N")
    how.add_argument("--threads", metavar="N", type=_count, help="photographs at once (default: one a core)")
    how.add_argument(
        "--batch", metavar="N", type=_count, default=8, help="photographs that a GPU computes together (8)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    given = parser().parse_args(arguments)
    try:
        return _run(given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    except BrokenPipeError:
        _forget_output()
        return NOBODY_READS
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        sentence = shortage(error, "standard output" if isinstance(error, OSError) else "photographs")
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        if isinstance(error, OSError):
            _forget_output()
        return MISTAKE


def _forget_output() -> None:
    """Let the interpreter, which flushes standard output once more at its end, do so without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: argparse.Namespace) -> int:
    _check(given)
    from variad.core.job import limit_threads

    limit_threads(1)  # a photograph has one core for itself
    return _serve(given) if given.serve else _watch(given) if given.watch else _inspect(given)


def _serve(given: argparse.Namespace) -> int:
    inspector = _open(given)
    from variad.inspect.server import HOST, PORT, serve

    serve(inspector, given.host or HOST, PORT if given.port is None else given.port)
    return 0


def _check(given: argparse.Namespace) -> None:
    """Find mistakes before anything takes time."""
    asked = bool(given.paths) + bool(given.watch) + given.serve
    if asked != 1:
        found = "several of them" if asked else "none of them"
        raise UserError(f"expected PATHs, --watch FOLDER or --serve, found {found}.")
    if given.serve and (given.heatmaps or given.report or given.fail_above is not None):
        raise UserError("--serve: expected no --heatmaps, --report or --fail-above, found one; the page shows all.")
    if not given.serve and (given.host is not None or given.port is not None):
        raise UserError("expected --host and --port with --serve, found one without it.")
    if bool(given.watch) != bool(given.output):
        raise UserError("expected --watch FOLDER and --output FILE.csv together, found one of them.")
    if given.watch and given.report:
        raise UserError("--report: expected PATHs, found --watch, which has no end; make a page of the folder later.")
    if given.watch and not given.watch.is_dir():
        raise UserError(f"{given.watch}: expected a folder to watch, found none.")
    named = [*given.paths, *([given.watch] if given.watch else [])]
    if given.heatmaps and os.path.realpath(given.heatmaps) in map(os.path.realpath, named):
        raise UserError(f"--heatmaps: expected another folder than that of the photographs, found {given.heatmaps}.")
    for folder in (given.heatmaps, given.report and given.report.absolute().parent):
        if folder:
            _make_folder(folder)
            clear_leftovers(folder, deep=folder == given.heatmaps)
    if given.report and given.report.is_dir():
        raise UserError(f"{given.report}: expected a file to write the page to, found a folder.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: expected a folder that can be written to, found: {error.strerror}.") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: expected a folder that can be written to, found one that cannot.")


def _open(given: argparse.Namespace) -> "Inspector":
    from variad.inspect.inspector import Inspector

    if given.device != "cpu":
        import torch

        if int(given.device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise UserError(f"--device: expected a GPU that torch can use, found none for {given.device!r}.")
    inspector = Inspector.open(given.bundle, given.device, given.threads)
    if given.fail_above is not None and inspector.answers.bad is None:
        raise UserError(f"--fail-above: expected a bundle with a threshold, found {given.bundle} without one.")
    return inspector


def _inspect(given: argparse.Namespace) -> int:
    from tqdm import tqdm

    from variad.inspect.outputs import Outputs, Tally, common_folder
    from variad.inspect.photographs import list_photographs
    from variad.inspect.results import failed_row

    listing = list_photographs(given.paths, leave_out=[given.heatmaps] if given.heatmaps else ())
    if not listing.photographs:
        nothing = f"{given.paths[0]}: expected photographs, found none."
        raise UserError(listing.failures[0][1] if listing.failures else nothing)
    inspector = _open(given)
    tally, began = Tally(given.fail_above), time.monotonic()
    base = common_folder(listing.photographs)
    outputs = Outputs(inspector, tally, base, given.format, given.heatmaps, bool(given.report))
    interrupted = False
    quiet = True if given.quiet else None  # None: no bar where there is no terminal
    with tqdm(total=len(listing.photographs), unit="photo", disable=quiet, leave=False, dynamic_ncols=True) as bar:
        try:
            for path, reason in listing.failures:
                outputs.pass_on(failed_row(path, reason), bar)
            for found in inspector.inspect_many(listing.photographs, given.batch):
                outputs.pass_on(outputs.row(found), bar)
                bar.update()
        except KeyboardInterrupt:
            interrupted = True
    notes = _notes(inspector, tally, listing.others_sentence())
    if given.report:
        outputs.write_page(given.report, notes)
    if not given.quiet:
        _say_summary(tally, time.monotonic() - began, notes, given, interrupted)
    return INTERRUPTED if interrupted else tally.status


def _notes(inspector: "Inspector", tally: "Tally", others: str) -> list[str]:
    """What the numbers of a folder are worth, and what of it was not used."""
    from variad.inspect.answers import drift

    moved = drift(tally.scores, inspector.bundle.held_out).sentence if len(tally.scores) > 1 else ""
    return [note for note in (inspector.answers.promise(), moved, *tally.remark_sentences(), others) if note]


def _say_summary(
    tally: "Tally", seconds: float, notes: Sequence[str], given: argparse.Namespace, interrupted: bool
) -> None:
    rate = f", {tally.count / seconds:.3g} a second" if seconds else ""
    lines = ["interrupted: the rest was not inspected"] if interrupted else []
    lines += [f"{tally.sentence()}, in {seconds:.1f} s{rate}", *notes]
    lines += [reason if path in reason else f"{path}: {reason}" for path, reason in tally.failures[:NAMED]]
    if len(tally.failures) > NAMED:
        lines.append(f"... and {len(tally.failures) - NAMED} more, see column error")
    lines += [f"heat maps: {given.heatmaps}"] if given.heatmaps else []
    lines += [f"page: {given.report}"] if given.report else []
    print("\n".join(lines), file=sys.stderr)


def _watch(given: argparse.Namespace) -> int:
    from variad.core.files import sha256
    from variad.inspect.outputs import Gone, Outputs, Tally, was_seen
    from variad.inspect.watch import Journal, Pace, watch

    def say(sentence: str) -> None:
        if not given.quiet:
            print(sentence, file=sys.stderr, flush=True)

    inspector = _open(given)
    journal = Journal(given.output, sha256(given.bundle)[:16])
    tally, folder = Tally(given.fail_above), str(given.watch)
    outputs = Outputs(inspector, tally, folder, given.format, given.heatmaps)
    say(f"watching {folder}; {len(journal)} files are in {given.output}. End with Ctrl-C.")

    def draw(found: "Inspection", regions: Any) -> None:
        try:
            outputs.draw(found, regions)
        except Gone as error:  # its row is kept, as it was whole when it was scored
            say(str(error))

    def end(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    pace = Pace(min(0.25, given.settle), given.settle, given.give_up)
    left_out = [given.heatmaps] if given.heatmaps else []
    try:
        for row in watch(inspector, folder, journal, pace, left_out, draw, say):
            if row["remark"] and row["remark"] not in tally.remarks:  # once, as a line's photographs are all alike
                say(f"{row['path']}: {row['remark']}.")
            outputs.pass_on(row)
            if row["error"]:
                say(row["error"])
            elif not was_seen(row):
                _say_drift(inspector, tally, say)
    except KeyboardInterrupt:
        say(f"{tally.sentence()}")
    finally:
        journal.close()
    return tally.status


def _say_drift(inspector: "Inspector", tally: "Tally", say: Any) -> None:
    """Say after each window of photographs whether their scores as a whole have moved."""
    from variad.inspect.answers import drift

    if tally.scores and len(tally.scores) % DRIFT_WINDOW == 0:
        found = drift(tally.scores[-DRIFT_WINDOW:], inspector.bundle.held_out)
        if found.moved:
            say(f"the last {DRIFT_WINDOW} photographs: {found.sentence}")


def _limit(value: str) -> str | float:
    if value in ("look", "bad"):
        return value
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected look, bad or a share from 0 to 1, found {value!r}")
    return share


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {value!r}")
    return seconds


def _count(value: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {value!r}")
    return int(value)


def _device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", value):
        raise argparse.ArgumentTypeError(f"expected cpu, cuda or cuda:N, found {value!r}")
    return value
