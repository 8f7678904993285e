"""The VQGAN: images to a latent, the latent to codes of a codebook, and back.

Built from taming-transformers' ``Encoder``, ``Decoder`` and ``VectorQuantizer2`` under the names of its checkpoints, so
that the official weights and the small ones of this project load by the same code. Source: Esser et al., Taming
Transformers (CVPR 2021), section 3.1."""

import contextlib
import io
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from taming.modules.diffusionmodules.model import AttnBlock, Decoder, Encoder, Upsample
from taming.modules.vqvae.quantize import VectorQuantizer2
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.precision import products
from variad.networks.private_apis import give_taming_silu
from variad.networks.weights import config_from, fill, load_checkpoint, load_weights

# Rows of one distance table: 1,024 x 16,384 codes are 64 MiB of float32, 1,024 x 768 are 3 MiB, which caches hold.
QUANTISE_ROWS = 1024
TAMING_GROUPS = 32
CONFIG = "the config of a VQGAN"

give_taming_silu()


@dataclass(frozen=True)
class VQGANConfig:
    """Shape of a VQGAN, in taming's terms.

    Attributes:
        resolution: image side in pixels for which ``attn_resolutions`` are counted; other sides work as well.
        norm_groups: groups of every GroupNorm. 32 is taming's; with 32 channels that is instance normalisation, which
            loses brightness. 0 leaves the norms out: levels and colours pass, and decoding with its backward pass
            takes 60 ms an image in place of 95 with four groups (224 px, bfloat16, one core, not folded).
        mid_attention: whether the two attention blocks at the lowest resolution exist. Without them the network is
            fully convolutional, and its cost grows linearly with the number of pixels.
    """

    embed_dim: int
    n_embed: int
    z_channels: int
    ch: int
    ch_mult: tuple[int, ...]
    num_res_blocks: int
    attn_resolutions: tuple[int, ...]
    resolution: int
    in_channels: int = 3
    out_ch: int = 3
    dropout: float = 0.0
    double_z: bool = False
    norm_groups: int = 32
    mid_attention: bool = True

    def __post_init__(self) -> None:
        # JSON and YAML have lists; equal configs have to compare equal.
        object.__setattr__(self, "ch_mult", tuple(self.ch_mult))
        object.__setattr__(self, "attn_resolutions", tuple(self.attn_resolutions))
        if self.ch % TAMING_GROUPS:
            raise UserError(f"ch: expected a multiple of {TAMING_GROUPS}, as taming's layers need, found {self.ch}.")
        if self.norm_groups and self.ch % self.norm_groups:
            raise UserError(f"norm_groups: expected 0 or a divisor of ch = {self.ch}, found {self.norm_groups}.")


class VQGAN(nn.Module):
    """Encoder, codebook and decoder; images are in [-1, 1] and their sides divisible by ``factor``."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.factor = 2 ** (len(config.ch_mult) - 1)
        layers = asdict(config)
        with contextlib.redirect_stdout(io.StringIO()):  # taming prints the shape of its latent
            self.encoder = _adapted(Encoder(**layers), config)
            self.decoder = _adapted(Decoder(**layers), config)
        latent = config.z_channels * (2 if config.double_z else 1)
        self.quantize = VectorQuantizer2(config.n_embed, config.embed_dim, beta=0.25)
        self.quant_conv = nn.Conv2d(latent, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    @property
    def codebook(self) -> Tensor:
        """The code vectors, ``[n_embed, embed_dim]``."""
        weight: Tensor = self.quantize.embedding.weight
        return weight

    def encode(self, images: Tensor) -> Tensor:
        """The pre-quantised latent ``quant_conv(encoder(images))``.

        Args:
            images: ``[B, 3, H, W]`` in [-1, 1]; H and W divisible by ``factor``.

        Returns:
            ``[B, embed_dim, H / factor, W / factor]``. (taming's own ``encode`` returns the quantised latent.)

        Raises:
            UserError: a side is not divisible by ``factor``.
        """
        if images.shape[-1] % self.factor or images.shape[-2] % self.factor:
            found = f"{images.shape[-2]} x {images.shape[-1]}"
            raise UserError(f"image size: expected sides divisible by the VQGAN's factor {self.factor}, found {found}.")
        latent: Tensor = self.quant_conv(self.encoder(images))
        return latent

    def quantise(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Replace each position by its nearest code; gradients pass straight through.

        Args:
            latent: ``[B, C, h, w]``.

        Returns:
            The quantised latent ``[B, C, h, w]`` (its gradient with respect to ``latent`` is the identity) and the
            indices of the codes ``[B, h, w]``, int64. Equal distances go to the lower index.

        Raises:
            UserError: the latent has another number of channels than the codebook.
        """
        self._check(latent)
        indices = nearest_codes(latent, self.codebook)
        codes = nn.functional.embedding(indices, self.codebook).permute(0, 3, 1, 2).to(latent.dtype)
        return latent + (codes - latent).detach(), indices

    def decode(self, latent: Tensor) -> Tensor:
        """Images of a latent ``[B, C, h, w]``: ``[B, 3, h * factor, w * factor]``, about [-1, 1], not clamped.

        Raises:
            UserError: the latent has another number of channels than the codebook.
        """
        self._check(latent)
        images: Tensor = self.decoder(self.post_quant_conv(latent))
        return images

    def _check(self, latent: Tensor) -> None:
        if latent.dim() != 4 or latent.shape[1] != self.config.embed_dim:
            expected = f"[B, {self.config.embed_dim}, h, w]"
            raise UserError(f"latent size: expected {expected} for this VQGAN, found {list(latent.shape)}.")


def load_vqgan(
    path: str | Path, *, config_path: str | Path | None = None, sha256: str | None = None, fold: bool = True
) -> VQGAN:
    """A frozen VQGAN in evaluation mode, float32, on the CPU.

    Args:
        path: safetensors of this project, or an official taming checkpoint (``.ckpt``).
        config_path: the ``model.yaml`` beside an official checkpoint; safetensors carry their own config.
        sha256: the file's expected hash.
        fold: make it faster by ``fold_upsampling``. False keeps the layers, names and ``state_dict`` of the file.

    Raises:
        UserError: a file is missing, has another hash, or does not fit its config.
    """
    if Path(path).suffix == ".safetensors":
        state, stored = load_weights(path, sha256)
        config = config_from(VQGANConfig, stored, path, CONFIG)
    else:
        if config_path is None:
            raise UserError(f"{path}: expected a config file beside an official checkpoint, found none.")
        config = taming_config(config_path)
        checkpoint = load_checkpoint(path, sha256)
        # the discriminator and perceptual loss that it was trained with
        state = {name: tensor for name, tensor in checkpoint.items() if not name.startswith("loss.")}
    model = VQGAN(config)
    fill(model, state, path)
    if fold:
        fold_upsampling(model)
    return model.eval().requires_grad_(False)


def taming_config(path: str | Path) -> VQGANConfig:
    """The config of an official ``model.yaml``: ``model.params`` with ``embed_dim``, ``n_embed`` and ``ddconfig``.

    Raises:
        UserError: the file is missing, is not YAML, or lacks one of these.
    """
    try:
        params = yaml.safe_load(Path(path).read_text("utf-8"))["model"]["params"]
        values = {"embed_dim": params["embed_dim"], "n_embed": params["n_embed"], **params["ddconfig"]}
    except OSError as error:
        raise UserError(f"{path}: expected a VQGAN's config, found: {error.strerror}.") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected model.params: embed_dim, n_embed, ddconfig, found: {error}.") from error
    return config_from(VQGANConfig, values, path, CONFIG)


@torch.no_grad()
def nearest_codes(latent: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code, by Euclidean distance in float32, of each position of ``[B, C, h, w]``: ``[B, h, w]``.

    The distance table of all positions would be ``B * h * w * n_embed`` numbers, so it is made in pieces.
    """
    rows = latent.detach().float().permute(0, 2, 3, 1).reshape(-1, latent.shape[1])
    codes = codebook.detach().float()
    # Expanding the square cancels badly where codes lie far from the origin; their centre costs nothing to remove.
    centre = codes.mean(0)
    codes = codes - centre
    # One more column, -|c|^2 / 2 against 1, in place of adding it: the table is written once, not three times.
    table = torch.cat([codes, -codes.square().sum(1, keepdim=True) / 2], dim=1).T
    # TF32 would round the distances by which codes are told apart
    with torch.autocast(latent.device.type, enabled=False), products("float32", latent.device):
        pieces = (functional.pad(part - centre, (0, 1), value=1.0) @ table for part in rows.split(QUANTISE_ROWS))
        # numpy finds the same places, the first of equal ones, in a tenth of torch's time
        on_cpu = latent.device.type == "cpu"
        found = [torch.from_numpy(part.numpy().argmax(1)) if on_cpu else part.argmax(1) for part in pieces]
    return torch.cat(found).view(latent.shape[0], *latent.shape[2:])


def _adapted(network: Any, config: VQGANConfig) -> Any:
    """taming's encoder or decoder with this config's norms and attention."""
    if not config.mid_attention:
        network.mid.attn_1 = nn.Identity()
    _replace(network, AttnBlock, lambda block: _FrugalAttention(block.in_channels))

    def own_norm(norm: nn.GroupNorm) -> nn.Module:
        groups = config.norm_groups
        return nn.GroupNorm(groups, norm.num_channels, eps=norm.eps) if groups else nn.Identity()

    _replace(network, nn.GroupNorm, own_norm)
    return network


class _FrugalAttention(AttnBlock):  # type: ignore[misc]
    """taming's attention with the same weights, without the ``[h * w, h * w]`` table in memory."""

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        tokens = [layer(normed).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v)]
        mixed = nn.functional.scaled_dot_product_attention(*(part.unsqueeze(1) for part in tokens)).squeeze(1)
        return x + self.proj_out(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


def fold_upsampling(model: VQGAN) -> None:
    """Make each doubling of the decoder's sides and the convolution behind it one layer, for frozen weights.

    The same images up to rounding, with 4 in place of 9 products an output and no enlarged tensor in memory: half the
    time of these layers (forward and backward, one core, float32 and bfloat16).
    """
    _replace(model.decoder, Upsample, lambda layer: _folded(layer.conv))


def _folded(convolution: nn.Conv2d) -> nn.ConvTranspose2d:
    """A 3 x 3 convolution behind nearest-neighbour doubling, as a transposed 4 x 4 convolution of stride 2.

    Doubling writes each pixel to 2 x 2 places, which is a transposed convolution with a kernel of ones; the two kernels
    are convolved with each other.
    """
    inside, outside = convolution.in_channels, convolution.out_channels
    folded = nn.ConvTranspose2d(inside, outside, 4, 2, 1).to(convolution.weight)
    folded.requires_grad_(convolution.weight.requires_grad)
    with torch.no_grad():
        flipped = convolution.weight.transpose(0, 1).flip(2, 3)
        folded.weight.zero_()
        for x, y in itertools.product((0, 1), repeat=2):
            folded.weight += functional.pad(flipped, (x, 1 - x, y, 1 - y))
        assert folded.bias is not None and convolution.bias is not None  # taming's layers have one
        folded.bias.copy_(convolution.bias)
    return folded


def _replace(network: nn.Module, kind: type, make: Callable[[Any], nn.Module]) -> None:
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is kind:
                setattr(module, name, make(child))
