import logging

import pytest
import torch

from variad import precision
from variad.precision import autocast, in_bfloat16


@pytest.fixture
def cpu(monkeypatch):
    """Give this CPU bfloat16, or take it away."""

    def give(supported):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
        precision._cpu_has_bfloat16.cache_clear()

    yield give
    monkeypatch.undo()
    precision._cpu_has_bfloat16.cache_clear()


def test_only_where_it_is_asked_for(cpu):
    cpu(True)
    assert in_bfloat16("bfloat16", "cpu") and in_bfloat16("bfloat16", torch.device("cuda:0"))
    assert not in_bfloat16("float32", "cpu") and not in_bfloat16("float32", "cuda")


def test_a_cpu_without_it_computes_in_float32_and_says_so_once(cpu, caplog):
    cpu(False)
    with caplog.at_level(logging.WARNING, logger="variad"):
        assert not in_bfloat16("bfloat16", "cpu") and not in_bfloat16("bfloat16", torch.device("cpu"))
    assert [record.message for record in caplog.records] == [
        "precision: this CPU has no instructions for bfloat16; computing in float32 instead"
    ]
    assert in_bfloat16("bfloat16", "cuda")


@pytest.mark.parametrize("supported, wanted", [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_heeds_it(cpu, supported, wanted):
    cpu(supported)
    left, right = torch.ones(2, 3), torch.ones(3, 2)
    with autocast("bfloat16", "cpu"):
        assert (left @ right).dtype == wanted
    with autocast("float32", torch.device("cpu")):
        assert (left @ right).dtype == torch.float32
