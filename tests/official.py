"""VQGAN checkpoints in the official layout, with random weights, made from taming's own modules."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from taming.modules.diffusionmodules.model import Decoder, Encoder
from taming.modules.vqvae.quantize import VectorQuantizer2
from torch import Tensor, nn

# ddconfig of the published ImageNet f16 models; embed_dim is 256, n_embed 1,024 or 16,384
IMAGENET_F16 = {
    "double_z": False, "z_channels": 256, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
    "ch_mult": [1, 1, 2, 2, 4], "num_res_blocks": 2, "attn_resolutions": [16], "dropout": 0.0,
}  # fmt: skip
NARROW = {**IMAGENET_F16, "z_channels": 8, "resolution": 32, "ch": 32, "num_res_blocks": 1, "attn_resolutions": [2]}


class Reference(nn.Module):
    """taming's VQModel, whose own module needs a pytorch-lightning of 2020."""

    def __init__(self, embed_dim: int, n_embed: int, ddconfig: dict[str, Any]) -> None:
        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):
            self.encoder, self.decoder = Encoder(**ddconfig), Decoder(**ddconfig)
        self.loss = nn.ModuleDict({"discriminator": _discriminator(), "perceptual_loss": nn.Conv2d(3, 4, 1)})
        self.quantize = VectorQuantizer2(n_embed, embed_dim, beta=0.25)
        self.quant_conv = nn.Conv2d(ddconfig["z_channels"], embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(embed_dim, ddconfig["z_channels"], 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents before the codebook, indices of the codes, and images."""
        latent = self.quant_conv(self.encoder(images))
        quantised, _, (_, _, indices) = self.quantize(latent)
        return latent, indices, self.decoder(self.post_quant_conv(quantised))


def _discriminator() -> nn.Module:
    return nn.ModuleDict({"main": nn.Sequential(nn.Conv2d(3, 4, 4), nn.LeakyReLU(), nn.BatchNorm2d(4))})


def write_official(
    folder: Path, model: Reference, ddconfig: dict[str, Any], change: dict[str, Any] | None = None
) -> Path:
    """``model.yaml`` and ``last.ckpt`` as a trainer of 2020 writes it; ``change`` replaces tensors, None drops one."""
    state = {**model.state_dict(), **(change or {})}
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    adam = {"step": 7, "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}
    with _trainers_callback() as callback:
        stored = {
            "epoch": 3, "global_step": 7, "pytorch-lightning_version": "1.0.8", "state_dict": state,
            "callbacks": {callback: {"best_model_score": np.float64(0.5), "best_model_path": "epoch=3.ckpt"}},
            "optimizer_states": [{"state": {0: adam}, "param_groups": [{"lr": 4.5e-6, "params": [0]}]}],
            "lr_schedulers": [],
        }  # fmt: skip
        torch.save(stored, folder / "last.ckpt")
    n_embed, embed_dim = model.quantize.embedding.weight.shape
    loss = {"target": "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator", "params": {"disc_start": 0}}
    params = {"embed_dim": embed_dim, "n_embed": n_embed, "ddconfig": ddconfig, "lossconfig": loss}
    entry = {"base_learning_rate": 4.5e-6, "target": "taming.models.vqgan.VQModel", "params": params}
    (folder / "model.yaml").write_text(yaml.safe_dump({"model": entry}))
    return folder / "last.ckpt"


@contextlib.contextmanager
def _trainers_callback() -> Iterator[type]:
    """A class that pickles under the name of pytorch-lightning's, without that package."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    stubs = {part: ModuleType(part) for part in ("pytorch_lightning", "pytorch_lightning.callbacks", name)}
    callback = type("ModelCheckpoint", (), {"__module__": name})
    stubs[name].ModelCheckpoint = callback  # type: ignore[attr-defined]
    before = {part: sys.modules[part] for part in stubs if part in sys.modules}
    sys.modules.update(stubs)
    try:
        yield callback
    finally:
        for part in stubs:
            del sys.modules[part]
        sys.modules.update(before)
