"""Leases of devices: who may use which, never two at once, and nothing left of a process that was killed."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from variad.core import devices as module
from variad.core.devices import SLOTS, Device, allowed, gpu_is_there, lease, list_of, sentence_of
from variad.core.errors import UserError
from variad.core.job import choose_device, give_device_back, job

LIBRARY = Path(__file__).resolve().parents[2] / "workflow" / "lib"
SMI = """GPU-aa11, NVIDIA H200, 143771, 143000, Default
GPU-bb22, NVIDIA H200, 143771, [N/A], Exclusive_Process
GPU-cc33, NVIDIA T4, 15360, 15000, Prohibited
"""
ONE, TWO = Device("GPU-aa11", "H200", 160_000, 150_000), Device("GPU-bb22", "H200", 160_000, 150_000)
SMALL = Device("GPU-cc33", "T4", 16_000, 15_000)


def test_what_nvidia_smi_lists():
    first, second = list_of(SMI)
    assert first == Device("GPU-aa11", "NVIDIA H200", 143_771, 143_000, True)
    assert second == Device("GPU-bb22", "NVIDIA H200", 143_771, None, False)
    assert list_of("No devices were found\n") == []


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, "ABC"),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, "CA"),
        ({"CUDA_VISIBLE_DEVICES": "1,7,0"}, "B"),  # CUDA stops at the first that is not there
        ({"CUDA_VISIBLE_DEVICES": "1,1"}, "B"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ""),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ""),
        ({"SLURM_JOB_ID": "7"}, ""),  # a job that asked for none
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "1,2"}, "BC"),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "1,2", "SLURM_STEP_GPUS": "2"}, "C"),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "0"}, "A"),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "5,6,7"}, "ABC"),  # Slurm shows the job its own three alone
        ({"SLURM_JOB_GPUS": "1"}, "ABC"),  # of no job of Slurm's
    ],
)
def test_what_the_environment_allows(environment, names):
    machine = [Device(name, "card") for name in "ABC"]
    assert "".join(device.name for device in allowed(machine, environment)) == names


def test_devices_by_name():
    machine = [ONE, TWO]
    assert allowed(machine, {"CUDA_VISIBLE_DEVICES": "GPU-bb"}) == [TWO]
    assert [one.name for one in allowed(machine, {"CUDA_VISIBLE_DEVICES": "MIG-1,GPU-aa11"})] == ["MIG-1", "GPU-aa11"]
    assert allowed(machine, {"CUDA_VISIBLE_DEVICES": "GPU-zz,GPU-aa11"}) == []


def test_a_gpu_is_there_where_a_driver_left_something_and_nobody_hides_it(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_TRACES", (f"{tmp_path}/nvidia[0-9]*",))
    assert not gpu_is_there({})
    (tmp_path / "nvidia0").touch()
    assert gpu_is_there({}) and gpu_is_there({"CUDA_VISIBLE_DEVICES": "0"})
    assert not gpu_is_there({"CUDA_VISIBLE_DEVICES": ""}) and not gpu_is_there({"SLURM_JOB_ID": "1"})


def test_a_declared_memory_is_so_many_slots_and_none_declared_all():
    assert (ONE.slots(0), ONE.slots(1), ONE.slots(10_000), ONE.slots(10_001), ONE.slots(10**6)) == (16, 1, 1, 2, 16)
    assert Device("x", "x").slots(100) == Device("x", "x", 1000, 1000, shared=False).slots(1) == SLOTS


def held(machine, memory, folder, poll=0.01, say=lambda sentence: None):
    return lease(memory, look=lambda: machine, folder=folder, poll=poll, say=say)


def test_whole_devices_go_to_one_each_and_come_back(tmp_path):
    first, second = held([ONE, TWO], 0, tmp_path), held([ONE, TWO], 0, tmp_path)
    assert {first.device, second.device} == {ONE, TWO} and first.share == 1
    first.give_back()
    third = held([ONE, TWO], 0, tmp_path)
    assert third.device == first.device
    second.give_back()
    third.give_back()


def test_small_jobs_share_a_device_and_spread_over_several(tmp_path):
    taken = [held([ONE, TWO], 40_000, tmp_path) for _ in range(8)]  # a quarter each: four on either
    assert sum(one.device == ONE for one in taken[:2]) == 1
    assert sum(one.device == ONE for one in taken) == 4 and all(one.share == 0.25 for one in taken)
    for one in taken:
        one.give_back()


def test_what_other_programs_hold_is_not_given_away(tmp_path):
    full = Device("GPU-dd44", "H200", 160_000, 30_000)
    (tmp_path / "other").mkdir()
    with held([full, ONE], 40_000, tmp_path) as one, held([full, ONE], 0, tmp_path / "other") as two:
        assert one.device == two.device == ONE
    with held([full], 20_000, tmp_path) as small:
        assert small.device == full


def test_none_to_lease_is_none(tmp_path):
    assert held([], 0, tmp_path) is None


HOLD = """
import os, sys, time
from pathlib import Path
from variad.core.devices import Device, lease
folder, memory = Path(sys.argv[1]), int(sys.argv[2])
machine = [Device(name, "card", 160, 150) for name in sys.argv[3].split(",")]
"""


def start(code, folder, memory, names="A", *more):
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    command = [sys.executable, "-c", HOLD + code, str(folder), str(memory), names, *map(str, more)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("orphan", [False, True], ids=["alone", "with_a_child_that_lives_on"])
def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path, orphan):
    # the child says its number itself: then it has forgotten the lease, which it does as soon as it runs at all
    child_lives = "if not os.fork():\n    print(os.getpid(), flush=True); time.sleep(60); os._exit(0)"
    begins = child_lives if orphan else "print(0, flush=True)"
    code = f"kept = lease(0, look=lambda: machine, folder=folder)\n{begins}\ntime.sleep(60)"
    process = start(code, tmp_path, 0)
    child = int(process.stdout.readline())
    machine, told = [Device("A", "card", 160, 150)], []
    process.send_signal(signal.SIGKILL)
    process.wait()
    begin = time.monotonic()
    with held(machine, 0, tmp_path, say=told.append) as taken:
        assert taken.device.name == "A" and time.monotonic() - begin < 5
    if orphan:
        os.kill(child, signal.SIGKILL)
    assert told == []


def test_a_waiting_job_says_so_and_gets_the_device_when_it_is_free(tmp_path):
    code = "kept = lease(0, look=lambda: machine, folder=folder)\nprint('has', flush=True)\nsys.stdin.readline()"
    process = start(code, tmp_path, 0)
    process.stdout.readline()
    told = []

    def say(sentence):
        told.append(sentence)
        process.stdin.close()  # which ends the other, as long as it takes

    with held([Device("A", "card", 160, 150)], 10, tmp_path, say=say) as taken:
        assert taken.slots == 1
    process.wait()
    assert told == ["waiting for a GPU: other jobs have leased all there are (1)"]


WORK = """
import random
for number in range(int(sys.argv[4])):
    memory = random.choice([int(word) for word in sys.argv[5].split(",")])
    with lease(memory, look=lambda: machine, folder=folder, poll=0.002) as one:
        begin = time.monotonic()
        time.sleep(random.uniform(0, 0.02))
        end = time.monotonic()
    print(one.device.name, one.slots, begin, end, flush=True)
"""


def test_many_at_once_never_collide(tmp_path):
    processes = [start(WORK, tmp_path, 0, "A,B", 12, "0,10,40,100") for _ in range(10)]
    lines = [line.split() for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
    assert all(process.returncode == 0 for process in processes) and len(lines) == 120
    events = defaultdict(list)
    for name, slots, begin, end in lines:
        events[name] += [(float(begin), int(slots)), (float(end), -int(slots))]
    assert set(events) == {"A", "B"}
    for changes in events.values():
        in_use = peak = 0
        for _, change in sorted(changes):
            in_use += change
            peak = max(peak, in_use)
        assert peak <= SLOTS


def test_a_job_that_wants_a_whole_device_is_not_passed_by_for_ever(tmp_path):
    small = [start(WORK, tmp_path, 0, "A", 10**6, "40") for _ in range(6)]  # without an end
    try:
        for process in small:
            assert process.stdout.readline().startswith("A 4 ")
        with held([Device("A", "card", 160, 150)], 0, tmp_path) as whole:
            assert whole.slots == SLOTS and all(process.poll() is None for process in small)
    finally:
        for process in small:
            process.kill()
            process.communicate()


def test_a_lock_file_that_somebody_removed_is_not_trusted(tmp_path):
    first = held([ONE], 0, tmp_path)
    for path in tmp_path.glob("line-*"):
        path.unlink()
    first.give_back()
    with held([ONE], 0, tmp_path) as again:
        assert again.slots == SLOTS


@pytest.fixture
def simulated(monkeypatch, tmp_path):
    """Two devices that torch finds usable; no CUDA is touched."""
    import torch

    monkeypatch.setattr(module, "devices", lambda: [ONE, TWO])
    monkeypatch.setattr(module, "leases_folder", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    seen = lambda number: SimpleNamespace(uuid=os.environ["CUDA_VISIBLE_DEVICES"].removeprefix("GPU-"))  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", seen)
    limits = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield limits
    give_device_back()
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def place(log, gpu, **more):
    resources = {"gpu": gpu, **{name: value for name, value in more.items() if name != "config"}}
    return SimpleNamespace(threads=1, log=[str(log)], resources=resources, config=more.get("config", {}))


def test_a_job_has_a_device_of_its_own_and_sees_no_other(simulated, tmp_path):
    with job(place(tmp_path / "one.log", 1)) as at:
        assert at.device == "cuda" and os.environ["CUDA_VISIBLE_DEVICES"] in (ONE.name, TWO.name)
        other = {ONE.name: TWO, TWO.name: ONE}[os.environ["CUDA_VISIBLE_DEVICES"]]
        with held([ONE, TWO], 0, tmp_path) as left:
            assert left.device == other
    assert simulated == []
    assert "on H200 (GPU-" in (tmp_path / "one.log").read_text()
    with held([ONE], 0, tmp_path), held([TWO], 0, tmp_path):
        pass  # both are free again


def test_a_job_that_shares_takes_no_more_than_it_declared(simulated, tmp_path):
    with job(place(tmp_path / "one.log", 1, gpu_mb=40_000)):
        assert simulated == [0.25]


def test_no_gpu_though_one_was_asked_for_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "devices", list)
    with pytest.raises(SystemExit) as stopped, job(place(tmp_path / "a.log", 1)):
        pytest.fail("it must not begin")
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1
    assert said.startswith("error: a GPU was asked for (run.gpu, or resource gpu): expected one that torch can use")
    assert (tmp_path / "a.log").read_text() == said


def test_a_card_that_torch_cannot_use_is_named(simulated, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"found H200 and torch .*; run\.gpu: 0 computes on the CPU"):
        choose_device(1)
    assert choose_device(1, any_device=True) == "cpu"


def test_auto_takes_the_cpu_where_there_is_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "devices", list)
    with job(place(tmp_path / "a.log", 1, config={"run": {"gpu": "auto"}})) as at:
        assert at.device == "cpu"
    assert "computing on the CPU" in (tmp_path / "a.log").read_text()


def failures():
    import torch

    lost = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported elsewhere"
    return {
        "memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "expected memory"),
        "memory_of_cublas": (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "memory",
        ),
        "lost": (torch.AcceleratorError(lost), "run the same command again"),
        "gone": (torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), "again"),
        "cudnn": (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "run the same command again"),
        "card": (
            torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
            "built",
        ),
    }


@pytest.mark.parametrize("name", failures())
def test_a_failure_of_the_gpu_is_one_sentence(name, tmp_path, capsys):
    error, expected = failures()[name]
    with pytest.raises(SystemExit) as stopped, job(place(tmp_path / "a.log", 0)):
        raise error
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1 and expected in said
    assert (tmp_path / "a.log").read_text() == said


def test_our_own_mistakes_keep_their_traceback(tmp_path):
    import torch

    for error in (
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("CUDA error: in a text"),
    ):
        assert sentence_of(error, "card") is None
        with pytest.raises(type(error)), job(place(tmp_path / "a.log", 0)):
            raise error
        assert "Traceback" in (tmp_path / "a.log").read_text()


def test_a_folder_of_leases_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Path", lambda word: tmp_path if word == "/tmp" else Path(word))
    folder = module.leases_folder()
    assert folder == tmp_path / f"variad-gpus-{os.getuid()}" and folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match="expected a folder of your own"):
        module.leases_folder()
