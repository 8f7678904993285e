"""What libraries say of a full disk or memory, and HDF5, which must not end the process over it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.full_disk import file_limit, small_disk
from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.shortages import fault_of_disk, fault_of_memory, new_hdf5, room_for, shortage

ROOT = Path(__file__).parents[2]
FULL = "no space left on the disk; make room there"
LIMIT = "a limit on the size of files; raise it (ulimit -f)"
QUOTA = "the quota on the disk used up; make room there"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), QUOTA),
        (OSError(errno.EFBIG, "File too large"), LIMIT),
        (OSError("Can't write data (file write failed: errno = 28, error message = 'x', buf = 0x5)"), FULL),
        (RuntimeError("Unable to flush file's cached information (errno = 122, error message = 'x')"), QUOTA),
        (ValueError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'), FULL),
        (ValueError("I/O error: File too large (os error 27)"), LIMIT),
        (OSError("76800 requested and 512 written"), "a disk that took only a part of it"),
        (
            RuntimeError("[enforce fail at inline_container.cc:664] PytorchStreamWriter failed writing file data/0"),
            "a disk",
        ),
        (OSError(errno.EACCES, "Permission denied"), None),
        (OSError(errno.EIO, "Input/output error"), None),
        (ValueError("a table of 28 rows"), None),
        (KeyError("No such thing"), None),
    ],
)
def test_a_full_disk_is_known_by_number_or_text(error, found):
    said = fault_of_disk(error)
    assert said is None if found is None else said is not None and said.startswith(found)


def test_a_full_disk_is_known_behind_other_errors():
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert fault_of_disk(error) == FULL
    error.__context__ = error  # a ring ends
    assert fault_of_disk(error) is None


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), "no memory left"),
        (
            MemoryError("Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)"),
            "Unable to allocate 7.28 TiB ",
        ),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "CUDA out of memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: not enough memory: you tried"),
            "[enforce",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "CUBLAS_STATUS_ALLOC_FAILED"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("not enough memory of a name"), None),
    ],
)
def test_used_up_memory_is_known(error, found):
    said = fault_of_memory(error)
    assert said is None if found is None else said is not None and said.startswith(found)


def test_the_sentence_names_the_file_or_who_wrote():
    full = OSError(errno.ENOSPC, "No space left on device", "results/a.csv")
    expected = f"results/a.csv: expected room to write, found {FULL}, and run the same command again."
    assert shortage(full, "rule plan") == expected
    assert str(shortage(OSError(errno.ENOSPC, "x"), "rule plan")).startswith("rule plan: expected room to write, found")
    expected = (
        "rule plan: expected enough memory, found: no memory left; run fewer jobs at once, or where there is more."
    )
    assert shortage(MemoryError(), "rule plan") == expected
    assert shortage(ValueError("other"), "rule plan") is None


def test_other_errors_and_sentences_pass():
    with pytest.raises(PermissionError), room_for("a"):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(UserError, match=r"^inner$"), room_for("a"):
        raise UserError("inner") from OSError(errno.ENOSPC, "No space left on device")


def many_small(file: h5py.File) -> None:
    for number in range(500):
        file.create_group(f"group_{number}").attrs["number"] = number


def very_many_small(file: h5py.File) -> None:
    """More than HDF5 keeps of them in memory, so that it reads back what it has written."""
    groups = file.create_group("groups")
    for number in range(4000):
        groups.create_group(f"group_{number}").attrs["text"] = "x" * 1000


def one_large(file: h5py.File) -> None:
    file.create_dataset("images", data=np.zeros((40, 64, 64, 3), np.uint8), chunks=(1, 64, 64, 3))


def at_the_end(file: h5py.File) -> None:
    """Stays in HDF5's cache of chunks, so that only closing the file would write it."""
    noise = np.random.default_rng(0).integers(0, 256, (200_000,), dtype=np.uint8)
    file.create_dataset("noise", data=noise, compression="gzip", chunks=(50_000,))


CONTENTS = [many_small, one_large, at_the_end]


@pytest.mark.parametrize(
    ("fill", "limit"),
    [*((fill, limit) for fill in CONTENTS for limit in (0, 1000, 40_000)), (very_many_small, 3_000_000)],
)
def test_hdf5_under_a_limit_ends_in_one_sentence_and_leaves_nothing(tmp_path, fill, limit):
    target = tmp_path / "images.h5"
    with (
        pytest.raises(UserError) as refused,
        file_limit(limit),
        writing(target) as temporary,
        new_hdf5(temporary) as file,
    ):
        fill(file)
    assert str(refused.value) == f"{target}: expected room to write, found {LIMIT}, and run the same command again."
    assert list(tmp_path.iterdir()) == []
    with writing(target) as temporary, new_hdf5(temporary) as file:
        fill(file)
    with h5py.File(target) as file:
        assert len(file) in (1, 500)


@pytest.mark.parametrize("fill", CONTENTS)
def test_hdf5_on_a_full_disk(tmp_path, fill):
    with small_disk(tmp_path / "small", "40k") as folder:
        target = folder / "images.h5"
        with pytest.raises(UserError) as refused, writing(target) as temporary, new_hdf5(temporary) as file:
            fill(file)
        assert str(refused.value) == f"{target}: expected room to write, found {FULL}, and run the same command again."
        assert list(folder.iterdir()) == []


EXIT = """
import sys
from types import SimpleNamespace
from tests.core.test_shortages import {fill} as fill
from tests.full_disk import file_limit
from variad.core.files import writing
from variad.core.job import job
from variad.core.shortages import new_hdf5

place = SimpleNamespace(threads=1, log=["logs/pack.log"], resources={{}}, rule="pack", output=["images.h5"])
with job(place), file_limit(30_000), writing("images.h5") as temporary, new_hdf5(temporary) as file:
    fill(file)
"""


@pytest.mark.parametrize("fill", CONTENTS)
def test_a_process_whose_hdf5_met_a_full_disk_ends_with_status_1_and_a_log(tmp_path, fill):
    """The library closes what is open once more at its end, where it has ended processes by a segmentation fault."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "workflow/lib")])
    command = [sys.executable, "-c", EXIT.format(fill=fill.__name__)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    sentence = f"error: images.h5: expected room to write, found {LIMIT}, and run the same command again.\n"
    assert (done.returncode, done.stderr) == (1, sentence)
    assert (tmp_path / "logs/pack.log").read_text() == sentence
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_what_is_written_is_what_hdf5_itself_writes(tmp_path):
    with new_hdf5(tmp_path / "ours.h5") as file:
        one_large(file)
        at_the_end(file)
        file["images"][3] = 7  # read back and written again
        many_small(file)
    with h5py.File(tmp_path / "ours.h5") as file:
        assert (file["images"][3] == 7).all() and not file["images"][4].any()
        assert file["group_499"].attrs["number"] == 499
        wanted = np.random.default_rng(0).integers(0, 256, (200_000,), dtype=np.uint8)
        np.testing.assert_array_equal(file["noise"][:], wanted)


def test_an_error_of_the_block_is_not_taken_for_one_of_the_disk(tmp_path):
    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "a.h5") as file:
        one_large(file)
        1 / 0  # noqa: B018
