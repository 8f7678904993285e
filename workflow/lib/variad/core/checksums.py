"""Damage to results: what a job writes has its checksum recorded beside it, and whoever reads it compares.

A record is a hidden file beside an output, ``.scores.csv.sha256``, as ``sha256sum`` writes and reads it, so that
anybody can check results without this workflow. That of a folder's ``contents.txt`` has a line for every file that the
list names. The output's own line comes last: a record that was cut short lacks it.

A file without a record is taken as it is: it is no output of a job, or an older version made it.
"""

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from variad.core.errors import UserError
from variad.core.files import CHECKSUMS, CONTENTS, checksums_path, listed_names, sha256, writing

LONGEST_NAME = 255  # bytes, of most file systems
LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
NOT_RECORDED = ("logs", "benchmarks", "report")  # folders of results that are no outputs, or copies of some
SHOWN = 3  # damaged files that a sentence names


@dataclass(frozen=True)
class Damage:
    """A file that is not what was recorded.

    Attributes:
        output: what a job makes anew: the file itself, or the ``contents.txt`` that lists it.
        expected, found: in words.
    """

    file: Path
    output: Path
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}, found {self.found}"


def write_checksums(output: str | Path) -> None:
    """Record the checksum of an output, and of all that it lists if it is a ``contents.txt``.

    Raises:
        UserError: a file is gone or cannot be read, or the record cannot be written.
    """
    output = Path(output)
    lines = []
    for name in [*(listed_names(output) if output.name == CONTENTS else []), output.name]:
        try:
            lines.append(_line(sha256(output.parent / name), name))
        except OSError as error:
            raise UserError(f"{output.parent / name}: expected a file that was just made, found: {error}.") from error
    with writing(checksums_path(output)) as temporary:
        temporary.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))


def recorded_checksums(output: Path) -> dict[str, str] | None:
    """SHA-256 by name from the output's folder on: None without a record, nothing of one that is damaged itself.

    Raises:
        UserError: the record may not be read.
    """
    if not _has_room(output):
        return None
    try:
        text = checksums_path(output).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _not_readable(checksums_path(output)) from error
    except OSError:
        return {}
    lines = [LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    found = {_name(line): line[2] for line in lines if line}
    whole = text.endswith("\n") and len(found) == len(lines) and list(found)[-1:] == [output.name]
    return found if whole and all(map(_leads_inside, found)) else {}


def damages_of(output: str | Path) -> list[Damage]:
    """What of an output is not as it was recorded; nothing where it has no record.

    Raises:
        UserError: a file may not be read.
    """
    output = Path(output)
    recorded = recorded_checksums(output)
    if recorded == {}:
        return [Damage(checksums_path(output), output, f"the checksum of {output.name}", "none, or a part of it")]
    return [found for name, digest in (recorded or {}).items() if (found := _damage(output, name, digest))]


def check(outputs: Iterable[str | Path], results: Path | None) -> None:
    """Compare files with their records, and remove what is damaged so that the next run makes it anew.

    Args:
        results: the folder of this workflow's results. What lies elsewhere is not removed.

    Raises:
        UserError: a file is damaged, is gone, or may not be read.
    """
    damages = [damage for output in dict.fromkeys(map(Path, outputs)) for damage in damages_of(output)]
    if not damages:
        return
    said, more = str(damages[0]), damages[1:]
    if more:
        said += f"; likewise {', '.join(str(damage.file) for damage in more[:SHOWN])}"
        said += f" and {len(more) - SHOWN} more" if len(more) > SHOWN else ""
    of_others = [damage.output for damage in damages if not is_within(damage.output, results)]
    remove(damage for damage in damages if damage.output not in of_others)
    if of_others:
        raise UserError(
            f"{said}; it was damaged or changed since it was made: restore it, or delete it if something makes it "
            f"anew, or {checksums_path(of_others[0])} to accept it."
        )
    raise UserError(
        f"{said}; it was damaged or changed by hand, and is removed now: the same command makes it anew and goes on."
    )


def remove(damages: Iterable[Damage]) -> None:
    """Delete damaged files with the lists that name them; records last, so that an interruption forgets nothing."""
    for damage in damages:
        for path in (damage.file, damage.output, checksums_path(damage.output)):
            path.unlink(missing_ok=True)


def is_within(path: str | Path, folder: Path | None) -> bool:
    """Whether a path, as it is written, leads into a folder."""
    path = Path(path)
    return folder is not None and ".." not in path.parts and path.absolute().is_relative_to(folder.absolute())


def before_job(outputs: Iterable[str | Path]) -> list[Damage]:
    """Forget the records of outputs that are gone, and remove damaged outputs, of which the job would take over a part.

    Returns:
        What was removed. Its record stays until the job has written the output anew: if the job fails, Snakemake puts
        the damaged file back.
    """
    removed = []
    for output in map(Path, outputs):
        if not _has_room(output):
            continue
        if not output.is_file() or output.name == CONTENTS:  # of a folder nothing is taken over
            checksums_path(output).unlink(missing_ok=True)
        elif damages := damages_of(output):
            output.unlink()
            removed += damages
    return removed


def after_job(outputs: Iterable[str | Path], results: Path | None) -> None:
    """Record what a job has made among the results. Downloads, which lie elsewhere, have hashes of their own.

    An output whose name is as long as a file system takes it has no record.

    Raises:
        UserError: as ``write_checksums``.
    """
    for output in outputs:
        if is_within(output, results) and Path(output).is_file() and _has_room(output):
            write_checksums(output)


@dataclass(frozen=True)
class Verification:
    """What a look at all results found.

    Attributes:
        files: how many were compared with a record.
        size: bytes of these.
        damages: what is damaged, or gone.
        unrecorded: files that no record covers.
    """

    files: int
    size: int
    damages: Sequence[Damage]
    unrecorded: Sequence[Path]


def verify(results: Path, threads: int = 1) -> Verification:
    """Compare all results with their records.

    Hidden files and folders are passed over, which are those of running and interrupted jobs, and so are logs and
    benchmark files.

    Raises:
        UserError: a file may not be read.
    """
    from tqdm import tqdm

    files, outputs = _results_and_recorded(results)
    covered = {output.parent / name for output in outputs for name in recorded_checksums(output) or [output.name]}
    present = files & covered
    size = sum(path.stat().st_size for path in present)
    damages = []
    with ThreadPoolExecutor(threads) as pool, tqdm(total=len(outputs), unit="output", disable=None) as bar:
        for found in pool.map(damages_of, outputs):
            damages += found
            bar.update()
    return Verification(len(present), size, damages, sorted(files - covered))


def _results_and_recorded(results: Path) -> tuple[set[Path], list[Path]]:
    """The files among results that are not hidden, and all outputs that have a record."""
    files, outputs = set(), []
    for name, folders, inside in os.walk(results):
        folder, left_out = Path(name), NOT_RECORDED if Path(name) == results else ()
        folders[:] = [each for each in folders if each[0] != "." and each not in left_out]
        files |= {folder / each for each in inside if each[0] != "."}
        # a record of a hidden file is one that was still being written
        ours = (each for each in inside if each[0] == "." and each[1] != "." and each.endswith(CHECKSUMS))
        outputs += [folder / each[1:].removesuffix(CHECKSUMS) for each in ours]
    return files, sorted(outputs)


def _has_room(output: str | Path) -> bool:
    """Whether an output's name leaves room for that of its record."""
    return len(os.fsencode(checksums_path(output).name)) <= LONGEST_NAME


def _damage(output: Path, name: str, expected: str) -> Damage | None:
    path = output.parent / name
    try:
        digest = sha256(path)
        found = f"{digest[:12]}… ({path.stat().st_size:,} bytes)"
    except (FileNotFoundError, NotADirectoryError):
        digest, found = "", "no such file"
    except PermissionError as error:
        raise _not_readable(path) from error
    except OSError as error:
        digest, found = "", f"one that cannot be read ({error.strerror})"
    return None if digest == expected else Damage(path, output, f"sha256 {expected[:12]}…", found)


def _not_readable(path: Path) -> UserError:
    return UserError(f"{path}: expected a file that can be read, found one without permission to.")


def _line(digest: str, name: str) -> str:
    """As ``sha256sum`` has it: a line with escaped characters begins with a backslash."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _name(line: re.Match[str]) -> str:
    escaped = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
    return re.sub(r"\\.", lambda found: escaped.get(found[0], found[0]), line[3]) if line[1] else line[3]


def _leads_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name
