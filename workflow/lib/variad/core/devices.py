"""Which GPU a job computes on: one that the scheduler allows, leased so that jobs of a machine do not collide.

A lease is a set of locks (``flock``) on files of a folder of the user's: the kernel drops them with the process that
holds them, however that ends, so no lease is ever stale. A device has ``SLOTS`` such files, each for an equal part of
its memory. A job that declares how much memory it takes locks as many as that is; any other locks all of them.

Leases know the user's own jobs. What other programs hold of a device is seen by its free memory alone.
"""

import contextlib
import fcntl
import hashlib
import math
import os
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from variad.core.errors import UserError

SLOTS = 16  # parts of a device's memory; all processes have to agree on the number
POLL = 0.5  # seconds between two looks at devices that are taken
# what a driver leaves in the file system: Linux, WSL and AMD
_TRACES = ("/proc/driver/nvidia/gpus/*", "/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd")
_QUERY = ["nvidia-smi", "--query-gpu=uuid,name,memory.total,memory.free,compute_mode", "--format=csv,noheader,nounits"]
# without nvidia-smi torch is asked, in a process of its own: asked here, it could not be told its device afterwards
_ASK_TORCH = """import torch
for number in range(torch.cuda.device_count()):
    properties = torch.cuda.get_device_properties(number)
    print(number, properties.name, properties.total_memory >> 20, "N/A", "Default", sep=", ")"""


@dataclass(frozen=True)
class Device:
    """A GPU: its name for ``CUDA_VISIBLE_DEVICES``, the card's name, and memory in MiB, None where nobody says.

    Attributes:
        shared: whether several processes may compute on it at once.
    """

    name: str
    card: str
    total_mb: int | None = None
    free_mb: int | None = None
    shared: bool = True

    def slots(self, memory_mb: int) -> int:
        """Of its slots those that a job takes: all, unless it declares less memory than that."""
        if not memory_mb or not self.total_mb or not self.shared:
            return SLOTS
        return min(SLOTS, math.ceil(memory_mb * SLOTS / self.total_mb))

    def has_room(self, memory_mb: int) -> bool:
        """Whether other programs leave what a job declares, or half of the memory to a job that declares nothing."""
        if self.free_mb is None or self.total_mb is None:
            return True
        return self.free_mb >= (min(memory_mb, 0.9 * self.total_mb) or self.total_mb / 2)


def gpu_is_there(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this machine has a GPU that this process may use, by what the driver leaves in the file system.

    It costs nothing, so it can be asked at every start; whether torch can use what is there is another question.
    """
    seen = any(any(Path("/").glob(pattern[1:])) for pattern in _TRACES)
    return seen and _told(environment) != []


def devices(environment: Mapping[str, str] = os.environ) -> list[Device]:
    """The GPUs that this process may use: all of the machine, or what its scheduler gave it."""
    return allowed(_of_machine(), environment)


def allowed(found: Sequence[Device], environment: Mapping[str, str]) -> list[Device]:
    """Those of the machine's devices, in the driver's order, that the environment allows.

    ``CUDA_VISIBLE_DEVICES`` decides where it is set: numbers, or names, which may be cut short; what follows one that
    is not there does not count, as in CUDA. Else a job of Slurm has those that Slurm gave it, which may be none.
    """
    told = _told(environment)
    if told is None:
        return list(found)
    if "CUDA_VISIBLE_DEVICES" not in environment and len(told) == len(found):
        return list(found)  # Slurm's numbers are the machine's, and it may show the job its own devices alone
    chosen: list[Device] = []
    for word in told:
        named = [found[int(word)]] if word.isdecimal() and int(word) < len(found) else []
        if not word.isdecimal():
            named = [device for device in found if device.name.startswith(word)][:1]
        if word.startswith("MIG-"):  # a part of a card, which is no device of its own in the list
            named = [Device(word, "a part of a GPU")]
        if not named:
            break
        chosen += named
    return list(dict.fromkeys(chosen))


def _told(environment: Mapping[str, str]) -> list[str] | None:
    """The devices that the environment names; None where it says nothing."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None and "SLURM_JOB_ID" in environment:
        named = environment.get("SLURM_STEP_GPUS", environment.get("SLURM_JOB_GPUS", ""))
    if named is None:
        return None
    words = [word.strip() for word in named.split(",")]
    return [] if words[0] in ("", "-1", "NoDevFiles") else words


def _of_machine() -> list[Device]:
    try:
        asked = subprocess.run(_QUERY, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        if not gpu_is_there({}):
            return []
        unhidden = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        command = [sys.executable, "-c", _ASK_TORCH]
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=unhidden)
    return list_of(asked.stdout) if asked.returncode == 0 else []


def list_of(table: str) -> list[Device]:
    """Devices of lines ``name, card, MiB in all, MiB free, compute mode``; what is not available is no number."""
    found = []
    for line in table.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) != 5 or words[4] == "Prohibited":
            continue
        total, free = (int(word) if word.isdecimal() else None for word in words[2:4])
        found.append(Device(words[0], words[1], total, free, not words[4].startswith("Exclusive")))
    return found


def leases_folder() -> Path:
    """Where the user's leases lie, the same for all of the user's processes on this machine; made if it is missing.

    Not what ``TMPDIR`` or ``XDG_RUNTIME_DIR`` name: a scheduler and a login give processes different ones.

    Raises:
        UserError: something of somebody else's lies there.
    """
    root = Path("/tmp")
    folder = (root if root.is_dir() else Path(tempfile.gettempdir())) / f"variad-gpus-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if about.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
        raise UserError(f"{folder}: expected a folder of your own, for leases of GPUs, found somebody else's.")
    return folder


@dataclass
class Lease:
    """A device, whole or in part, until it is given back or the process ends."""

    device: Device
    slots: int
    _locks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        _OPEN.add(self)

    def __hash__(self) -> int:
        return id(self)

    @property
    def share(self) -> float:
        """Of the device's memory, 0 to 1."""
        return self.slots / SLOTS

    def give_back(self) -> None:
        """End it; again does nothing."""
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()


_OPEN: "weakref.WeakSet[Lease]" = weakref.WeakSet()


def _forget() -> None:
    """A lease is its process's alone: a child that outlives it must not keep it."""
    for lease in list(_OPEN):
        lease.give_back()


os.register_at_fork(after_in_child=_forget)


def lease(
    memory_mb: int = 0,
    *,
    look: Callable[[], Sequence[Device]] | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    poll: float = POLL,
) -> Lease | None:
    """Wait for a device, and lease it; None where there is none to wait for.

    Of jobs that may use the same devices one at a time looks for room, so that a job that wants a whole device does not
    wait for ever while small ones come and go.

    Args:
        memory_mb: that the job declares, MiB; 0 is a device of its own.
        look: the devices as they are now; ``devices`` if not given.
        folder: for the locks; ``leases_folder()`` if not given.
        say: what is told of waiting, once for each reason.
    """
    look = look or devices
    found = look()
    if not found:
        return None
    folder = folder or leases_folder()
    told: set[str] = set()

    def say_once(sentence: str) -> None:
        if sentence not in told:
            told.add(sentence)
            say(sentence)

    names = "\n".join(sorted(device.name for device in found))
    line = folder / f"line-{_short(names)}.lock"
    with _turn(line, say_once):
        while True:
            if (taken := _take(found, memory_mb, folder)) is not None:
                return taken
            full = [device for device in found if not device.has_room(memory_mb)]
            why = "other jobs have leased all there are" if len(full) < len(found) else "other programs fill them"
            say_once(f"waiting for a GPU: {why} ({len(found)})")
            time.sleep(poll)
            found = look() or found


def _take(found: Sequence[Device], memory_mb: int, folder: Path) -> Lease | None:
    """A lease of the device with the most slots left, if one has as many as are wanted and memory."""
    free = {}
    for device in found:
        if device.has_room(memory_mb):
            with _slots(device, folder) as locks:
                free[device] = len(locks)
    for device in sorted(free, key=lambda device: -free[device]):
        wanted = device.slots(memory_mb)
        with _slots(device, folder) as locks:
            if len(locks) >= wanted:
                kept = [locks.pop() for _ in range(wanted)]
                return Lease(device, wanted, kept)
    return None


@contextlib.contextmanager
def _slots(device: Device, folder: Path) -> Iterator[list[int]]:
    """Locks on all slots of a device that nobody holds; those that are left in the list are dropped again."""
    stem = f"device-{_short(device.name)}"
    with _locked(folder / f"{stem}.lock"):
        opened = [_lock(folder / f"{stem}-{slot}.lock", wait=False) for slot in range(SLOTS)]
        locks = [handle for handle in opened if handle is not None]
        try:
            yield locks
        finally:
            for handle in locks:
                os.close(handle)


@contextlib.contextmanager
def _turn(line: Path, say: Callable[[str], None]) -> Iterator[None]:
    handle = _lock(line, wait=False)
    if handle is None:
        say("waiting for a GPU: other jobs are before this one")
        handle = _lock(line, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = _lock(path, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(path: Path, *, wait: bool) -> int | None:
    """An exclusive lock on a file, made if it is missing; None where another has it and this one does not ``wait``."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        os.utime(handle)  # whoever clears old temporary files leaves it
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)  # somebody removed it in between, and others lock a new one


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def take(leased: Lease | None) -> str | None:
    """Have torch see the leased device and no other; in words why it cannot, or None.

    Of a device that is shared, torch may take as much memory as was leased, so that who needs more fails and not its
    neighbours. It has to come before torch has used CUDA, which looks at its environment once.

    Raises:
        RuntimeError: it comes too late.
    """
    if leased is None:
        told = _told(os.environ)
        return "none" if told is None else f"none that the scheduler or CUDA_VISIBLE_DEVICES allows ({told})"
    import torch

    if torch.cuda.is_initialized():
        raise RuntimeError("a device has to be chosen before torch uses CUDA")
    os.environ["CUDA_VISIBLE_DEVICES"] = leased.device.name
    if not torch.cuda.is_available():
        built = torch.version.cuda or getattr(torch.version, "hip", None)
        why = f"for which its driver is too old or missing (CUDA {built})" if built else "which is built without CUDA"
        return f"{leased.device.card} and torch {torch.__version__}, {why}"
    seen = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
    if leased.device.name.startswith("GPU-") and seen and not leased.device.name.endswith(seen):
        raise RuntimeError(f"expected torch to compute on {leased.device.name}, found it on {seen}")
    if leased.share < 1:
        torch.cuda.set_per_process_memory_fraction(leased.share)
    return None


# what CUDA and its libraries begin their messages with, within a RuntimeError of torch
_OF_GPU = ("CUDA error", "CUDA driver error", "cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "CUSOLVER_STATUS_")
_NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED")
_OTHER_CARD = ("no kernel image is available", "invalid device function")
# mistakes of a program, which nobody mends by running it again
_OURS = ("device-side assert", "illegal memory access", "invalid argument", "invalid configuration", "misaligned")


def sentence_of(error: BaseException, card: str) -> str | None:
    """One sentence about a failure of the GPU and what to do about it; None for any other error, our own mistakes too.

    Args:
        card: what it is called.
    """
    import torch

    words = (str(error).strip() or type(error).__name__).splitlines()[0]
    typed = isinstance(error, (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError)))
    if not typed and not (isinstance(error, RuntimeError) and any(start in words for start in _OF_GPU)):
        return None
    if isinstance(error, torch.OutOfMemoryError) or any(part in words for part in _NO_MEMORY):
        return (
            f"{card}: expected memory for this job, found too little ({words}); let no other program use it, take a "
            "larger card, or lower image_size or a batch_size; where jobs share a card, resource gpu_mb is its share."
        )
    if any(part in words for part in _OTHER_CARD):
        return f"{card}: expected a card that torch {torch.__version__} is built for, found another one ({words})."
    if any(part in words for part in _OURS):
        return None
    return (
        f"{card}: expected it to compute to the end, found a failure ({words}); run the same command again: what is "
        "done stays, and images are added from the last finished batch on."
    )
