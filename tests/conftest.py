"""Settings and fixtures of every test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a machine that is busy with other tests makes any example slow
settings.register_profile("variad", deadline=None)
settings.load_profile("variad")

# as the Makefile has it, for the programs that tests start: plain pytest then tests the same
os.environ.setdefault("PYTHONPATH", str(Path(__file__).resolve().parents[1] / "workflow/lib"))


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: a long one that is begun last leaves the other workers without work."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")


@pytest.fixture
def without_bfloat16(monkeypatch):
    """A CPU that has no instructions for bfloat16, as torch and oneDNN show it: they say so, and refuse to pack."""
    import torch

    pack = torch.ops.mkldnn._reorder_convolution_weight

    def refuse(weight, *arguments):
        assert weight.dtype != torch.bfloat16, "bf16 path needs the cpu support"
        return pack(weight, *arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", refuse)


@pytest.fixture(params=[True, False], ids=["with_bfloat16", "without_bfloat16"])
def has_bfloat16(request):
    """Whether the CPU has instructions for bfloat16: every machine tests the branch without, one that has them both."""
    from variad.core.precision import in_bfloat16

    if not request.param:
        request.getfixturevalue("without_bfloat16")
    elif not in_bfloat16("bfloat16", "cpu"):
        pytest.skip("this CPU has no instructions for bfloat16")
    return request.param
