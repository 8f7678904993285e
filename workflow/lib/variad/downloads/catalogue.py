"""What is published: addresses, hashes and licences. Checked: addresses, hashes, and sizes where exact."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from variad.core.errors import UserError
from variad.downloads.transfer import Expected

NON_COMMERCIAL = "CC BY-NC-SA 4.0: no commercial use"
IMAGENET = "terms of ImageNet: non-commercial research and education"
_MYDRIVE = "https://www.mydrive.ch/shares"
_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_ANOMALIB = "https://github.com/openvinotoolkit/anomalib"


@dataclass(frozen=True)
class Source:
    """A file that its publisher serves."""

    title: str
    url: str
    file_name: str  # the name it gets here
    home: str  # the page that describes it
    expected: Expected = field(default_factory=Expected)  # without a hash, the first download's is recorded
    about: int | None = None  # bytes, roughly, where the exact size is not published; None where nothing is known
    licence: str | None = None  # in words; None where we know of none, so that the reader has to look at ``home``
    top_folder: str | None = None  # that the archive may hold everything in; what is in it is unpacked without it
    members: tuple[str, ...] = ()  # names of the files that are wanted of an archive of weights

    @property
    def bytes_about(self) -> int | None:
        """Bytes to download, exact or rough; None where nothing is known."""
        return self.expected.size if self.expected.size is not None else self.about


def _source(title: str, url: str, home: str, sha256: str | None = None, **fields: Any) -> Source:
    """A file whose name here is the last part of its address."""
    expected = Expected(sha256, fields.pop("md5", None), fields.pop("size", None))
    return Source(title, url, urlsplit(url).path.rpartition("/")[2], home, expected, **fields)


def _vqgan(codes: str, share: str, about: int) -> dict[str, Source]:
    """The weights of a VQGAN trained on ImageNet with downsampling by 16, and their configuration."""
    name = f"vqgan_imagenet_f16_{codes.replace(',', '')}"
    title, home = f"VQGAN, ImageNet, f16, {codes} codes", "https://github.com/CompVis/taming-transformers"
    address = f"https://heibox.uni-heidelberg.de/d/{share}/files/?p=%2F"
    weights = Source(title, f"{address}ckpts%2Flast.ckpt&dl=1", f"{name}.ckpt", home, about=about)
    config = Source(f"{title}, configuration", f"{address}configs%2Fmodel.yaml&dl=1", f"{name}.yaml", home)
    return {name: weights, f"{name}_config": config}


DATASETS = {
    "mvtec_ad": _source(
        "MVTec AD",
        f"{_MYDRIVE}/38536/3830184030e49fe74747669442f0f282/download/420938113-1629952094/mvtec_anomaly_detection.tar.xz",
        "https://www.mvtec.com/company/research/datasets/mvtec-ad",
        sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
        about=5_260_000_000,
        licence=NON_COMMERCIAL,
        top_folder="mvtec_anomaly_detection",
    ),
    "btad": _source(
        "BTAD (beanTech)",
        "https://avires.dimi.uniud.it/papers/btad/btad.zip",
        "https://avires.dimi.uniud.it/papers/btad/",
        sha256="461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a",
        licence=NON_COMMERCIAL,
        top_folder="BTech_Dataset_transformed",
    ),
    "mvtec_loco": _source(
        "MVTec LOCO AD",
        f"{_MYDRIVE}/48237/1b9106ccdfbb09a0c414bd49fe44a14a/download/430647091-1646842701/mvtec_loco_anomaly_detection.tar.xz",
        "https://www.mvtec.com/company/research/datasets/mvtec-loco",
        sha256="9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687",
        licence=NON_COMMERCIAL,
        top_folder="mvtec_loco_anomaly_detection",
    ),
    "cub": _source(
        "CUB-200-2011",
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "https://data.caltech.edu/records/65de6-vp158",
        sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
        md5="97eceeb196236b17998738112f37df78",
        size=1_150_585_339,
        top_folder="CUB_200_2011",
    ),
    "flowers_102": _source(
        "Flowers-102, images",
        f"{_FLOWERS}102flowers.tgz",
        _FLOWERS,
        md5="52808999861908f626f3c1f4e79d11fa",
        size=344_862_509,
    ),
    "flowers_102_labels": _source(
        "Flowers-102, labels", f"{_FLOWERS}imagelabels.mat", _FLOWERS, md5="e0620be6f572b9609742df49c70aed4d"
    ),
    "flowers_102_split": _source(
        "Flowers-102, split", f"{_FLOWERS}setid.mat", _FLOWERS, md5="a5357ecc9cb78c4bef273ce3793fc85c"
    ),
    "tiny_imagenet": _source(
        "Tiny-ImageNet",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/",
        md5="90528d7ca1a48142e341f4ef8d21d0de",
        size=248_100_043,
        licence=IMAGENET,
        top_folder="tiny-imagenet-200",
    ),
    "imagenette": _source(
        "Imagenette",
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        "https://github.com/fastai/imagenette",
        sha256="6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd",
        licence=IMAGENET,
        top_folder="imagenette2",
    ),
}

WEIGHTS = {
    **_vqgan("16,384", "a7530b09fed84f80a887", about=980_000_000),
    **_vqgan("1,024", "8088892a516d4e3baf92", about=958_000_000),
    "efficientad_teacher": _source(
        "EfficientAD's teacher",
        f"{_ANOMALIB}/releases/download/efficientad_pretrained_weights/efficientad_pretrained_weights.zip",
        _ANOMALIB,
        sha256="c09aeaa2b33f244b3261a5efdaeae8f8284a949470a4c5a526c61275fe62684a",
        members=("pretrained_teacher_small.pth", "pretrained_teacher_medium.pth"),
    ),
    "adm_imagenet_256": _source(
        "ADM, ImageNet 256, unconditional",
        "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
        "https://github.com/openai/guided-diffusion",
        about=2_200_000_000,
    ),
}

CATALOGUE = DATASETS | WEIGHTS

# file name of a download of a data set, and of a file of weights, to the name of its entry
DATASET_FILES = {source.file_name: name for name, source in DATASETS.items()}
WEIGHTS_FILES = {file: name for name, source in WEIGHTS.items() for file in source.members or (source.file_name,)}

# What is unpacked into a folder of its name, and which other entries are put beside its files.
BESIDE = {"flowers_102": ("flowers_102_labels", "flowers_102_split")}
ARCHIVES = [name for name, source in DATASETS.items() if source.file_name.endswith((".zip", ".tgz", ".tar.xz"))]


def find_source(name: str) -> Source:
    """An entry of the catalogue.

    Raises:
        UserError: there is none of this name.
    """
    if name not in CATALOGUE:
        raise UserError(f"download: expected one of {', '.join(CATALOGUE)}, found '{name}'.")
    return CATALOGUE[name]


# Where the backbone of LPIPS may lie on this machine; nothing here downloads, and nothing imports torch.

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's; its name holds the start of its SHA-256
ALEXNET_SHA256 = "7be5be79"


def hub_folder() -> Path:
    """The folder of checkpoints in the cache of torch.hub, as its environment variables say."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


def find_lpips_backbone(folder: str | Path) -> str | None:
    """Path of AlexNet's ImageNet weights: in ``folder``, or in the cache of torch.hub; None if they are in neither."""
    candidates = (Path(folder) / ALEXNET_FILE, hub_folder() / ALEXNET_FILE)
    return next((str(path) for path in candidates if path.is_file()), None)
