"""Weight files: what is written comes back, and what is wrong with a file is said in one sentence."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.networks.weights import fill, load_checkpoint, load_weights, read_tensors, save_weights

STATE = {"b.weight": torch.tensor([[1.0, 1 / 3], [2.0, 70.0]]), "a.steps": torch.tensor([5], dtype=torch.int64)}


def test_half_precision_round_trip(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", STATE, {"ch": 8, "ch_mult": [1, 2]})
    state, config = load_weights(tmp_path / "w.safetensors")
    assert config == {"ch": 8, "ch_mult": [1, 2]}
    assert state["b.weight"].dtype == torch.float32 and state["a.steps"].dtype == torch.int64
    assert state["a.steps"].tolist() == [5]
    assert state["b.weight"].flatten().tolist() == [1.0, 0.333251953125, 2.0, 70.0]


def test_full_precision_round_trip_is_exact(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", STATE, {}, half=False)
    assert torch.equal(load_weights(tmp_path / "w.safetensors")[0]["b.weight"], STATE["b.weight"])


def test_equal_weights_give_equal_bytes_and_the_config_can_be_read_elsewhere(tmp_path: Path) -> None:
    save_weights(tmp_path / "1.safetensors", STATE, {"b": 1, "a": 2})
    save_weights(tmp_path / "2.safetensors", dict(reversed(STATE.items())), {"a": 2, "b": 1})
    assert sha256(tmp_path / "1.safetensors") == sha256(tmp_path / "2.safetensors")
    with safe_open(str(tmp_path / "1.safetensors"), framework="pt") as stored:
        assert json.loads(stored.metadata()["config"]) == {"a": 2, "b": 1}


def test_channels_last_weights_are_stored(tmp_path: Path) -> None:
    weight = torch.arange(16.0).reshape(1, 4, 2, 2).to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", {"w": weight}, {})
    assert torch.equal(load_weights(tmp_path / "w.safetensors")[0]["w"], torch.arange(16.0).reshape(1, 4, 2, 2))


def test_hash_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, {})
    assert load_weights(path, sha256(path))[1] == {}
    with pytest.raises(UserError, match=f"w.safetensors: expected sha256 {'0' * 64}, found {sha256(path)}"):
        load_weights(path, "0" * 64)


def test_missing_broken_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.safetensors: .*found no such file"):
        load_weights(tmp_path / "none.safetensors")
    save_weights(tmp_path / "cut.safetensors", STATE, {})
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-3])
    with pytest.raises(UserError, match=r"cut.safetensors: expected a safetensors file"):
        load_weights(tmp_path / "cut.safetensors")
    save_file(STATE, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match=r"bare.safetensors: expected the model's config"):
        load_weights(tmp_path / "bare.safetensors")


def test_checkpoint_with_and_without_nesting(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": torch.ones(2).half()}, "epoch": 3}, tmp_path / "nested.ckpt")
    torch.save({"x": torch.ones(2)}, tmp_path / "plain.ckpt")
    for name in ("nested.ckpt", "plain.ckpt"):
        state = load_checkpoint(tmp_path / name)
        assert state["x"].tolist() == [1.0, 1.0]


def test_checkpoint_of_the_form_before_zip_archives(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": torch.ones(2)}}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "old.ckpt")["x"].tolist() == [1.0, 1.0]


def test_half_precision_fills_a_float32_module() -> None:
    layer = torch.nn.Linear(1, 1)
    fill(layer, {"weight": torch.tensor([[0.1]]).half(), "bias": torch.zeros(1).double()}, "some.ckpt")
    assert layer.weight.dtype == layer.bias.dtype == torch.float32
    assert layer.weight.item() == 0.0999755859375


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": _Harmful()}, tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match=r"bad.ckpt: expected a PyTorch checkpoint of plain tensors"):
        load_checkpoint(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harm").exists()


def test_a_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "program.pt"))
    with pytest.raises(UserError, match=r"program.pt: .* found: a TorchScript archive, which is a program; save its"):
        load_checkpoint(tmp_path / "program.pt")


def test_any_safetensors_file_gives_its_tensors(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2).half()}, tmp_path / "bare.safetensors")
    found = read_tensors(tmp_path / "bare.safetensors")[0]
    assert found["x"].dtype == torch.float16 and found["x"].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match=r"none.safetensors: .*found no such file"):
        read_tensors(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"bad.ckpt: expected a PyTorch checkpoint"):
        load_checkpoint(tmp_path / "bad.ckpt")


def test_a_checkpoint_without_tensors_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.ckpt")
    with pytest.raises(UserError, match=r"list.ckpt: expected a dictionary of named tensors, found list"):
        load_checkpoint(tmp_path / "list.ckpt")


def test_only_the_first_three_wrong_keys_are_named() -> None:
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(UserError) as caught:
        fill(layer, {"d": torch.ones(1), "a": torch.ones(1), "bias": torch.ones(2)}, "some.ckpt")
    assert str(caught.value) == (
        "some.ckpt: expected the weights of Linear, found wrong keys: a (unknown), d (unknown), weight (missing)."
    )
