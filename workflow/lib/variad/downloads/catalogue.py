"""The published data sets and weights that the studies use. Checked: addresses, hashes, and sizes where exact."""

from variad.downloads.sources import Source
from variad.downloads.verification import Expected
from variad.errors import UserError

NON_COMMERCIAL = "CC BY-NC-SA 4.0: no commercial use"
IMAGENET = "terms of ImageNet: non-commercial research and education"
_TAMING = "https://github.com/CompVis/taming-transformers"
_HEIBOX = "https://heibox.uni-heidelberg.de/d"
_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
_MYDRIVE = "https://www.mydrive.ch/shares"
_ANOMALIB = "https://github.com/openvinotoolkit/anomalib"

DATASETS = {
    "mvtec_ad": Source(
        title="MVTec AD",
        url=f"{_MYDRIVE}/38536/3830184030e49fe74747669442f0f282/download/420938113-1629952094/mvtec_anomaly_detection.tar.xz",
        file_name="mvtec_anomaly_detection.tar.xz",
        top_folder="mvtec_anomaly_detection",
        home="https://www.mvtec.com/company/research/datasets/mvtec-ad",
        expected=Expected(sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d"),
        about=5_260_000_000,
        licence=NON_COMMERCIAL,
    ),
    "btad": Source(
        title="BTAD (beanTech)",
        url="https://avires.dimi.uniud.it/papers/btad/btad.zip",
        file_name="btad.zip",
        top_folder="BTech_Dataset_transformed",
        home="https://avires.dimi.uniud.it/papers/btad/",
        expected=Expected(sha256="461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a"),
        licence=NON_COMMERCIAL,
    ),
    "mvtec_loco": Source(
        title="MVTec LOCO AD",
        url=f"{_MYDRIVE}/48237/1b9106ccdfbb09a0c414bd49fe44a14a/download/430647091-1646842701/mvtec_loco_anomaly_detection.tar.xz",
        file_name="mvtec_loco_anomaly_detection.tar.xz",
        top_folder="mvtec_loco_anomaly_detection",
        home="https://www.mvtec.com/company/research/datasets/mvtec-loco",
        expected=Expected(sha256="9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687"),
        licence=NON_COMMERCIAL,
    ),
    "cub": Source(
        title="CUB-200-2011",
        url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        file_name="CUB_200_2011.tgz",
        top_folder="CUB_200_2011",
        home="https://data.caltech.edu/records/65de6-vp158",
        expected=Expected(
            sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            md5="97eceeb196236b17998738112f37df78",
            size=1_150_585_339,
        ),
    ),
    "flowers_102": Source(
        title="Flowers-102, images",
        url=f"{_FLOWERS}/102flowers.tgz",
        file_name="102flowers.tgz",
        home=f"{_FLOWERS}/",
        expected=Expected(md5="52808999861908f626f3c1f4e79d11fa", size=344_862_509),
    ),
    "flowers_102_labels": Source(
        title="Flowers-102, labels",
        url=f"{_FLOWERS}/imagelabels.mat",
        file_name="imagelabels.mat",
        home=f"{_FLOWERS}/",
        expected=Expected(md5="e0620be6f572b9609742df49c70aed4d"),
    ),
    "flowers_102_split": Source(
        title="Flowers-102, split",
        url=f"{_FLOWERS}/setid.mat",
        file_name="setid.mat",
        home=f"{_FLOWERS}/",
        expected=Expected(md5="a5357ecc9cb78c4bef273ce3793fc85c"),
    ),
    "tiny_imagenet": Source(
        title="Tiny-ImageNet",
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        file_name="tiny-imagenet-200.zip",
        top_folder="tiny-imagenet-200",
        home="http://cs231n.stanford.edu/",
        expected=Expected(md5="90528d7ca1a48142e341f4ef8d21d0de", size=248_100_043),
        licence=IMAGENET,
    ),
    "imagenette": Source(
        title="Imagenette",
        url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        file_name="imagenette2.tgz",
        top_folder="imagenette2",
        home="https://github.com/fastai/imagenette",
        expected=Expected(sha256="6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd"),
        licence=IMAGENET,
    ),
}

WEIGHTS = {
    "vqgan_imagenet_f16_16384": Source(
        title="VQGAN, ImageNet, f16, 16,384 codes",
        url=f"{_HEIBOX}/a7530b09fed84f80a887/files/?p=%2Fckpts%2Flast.ckpt&dl=1",
        file_name="vqgan_imagenet_f16_16384.ckpt",
        home=_TAMING,
        about=980_000_000,
    ),
    "vqgan_imagenet_f16_16384_config": Source(
        title="VQGAN, ImageNet, f16, 16,384 codes, configuration",
        url=f"{_HEIBOX}/a7530b09fed84f80a887/files/?p=%2Fconfigs%2Fmodel.yaml&dl=1",
        file_name="vqgan_imagenet_f16_16384.yaml",
        home=_TAMING,
    ),
    "vqgan_imagenet_f16_1024": Source(
        title="VQGAN, ImageNet, f16, 1,024 codes",
        url=f"{_HEIBOX}/8088892a516d4e3baf92/files/?p=%2Fckpts%2Flast.ckpt&dl=1",
        file_name="vqgan_imagenet_f16_1024.ckpt",
        home=_TAMING,
        about=958_000_000,
    ),
    "vqgan_imagenet_f16_1024_config": Source(
        title="VQGAN, ImageNet, f16, 1,024 codes, configuration",
        url=f"{_HEIBOX}/8088892a516d4e3baf92/files/?p=%2Fconfigs%2Fmodel.yaml&dl=1",
        file_name="vqgan_imagenet_f16_1024.yaml",
        home=_TAMING,
    ),
    "efficientad_teacher": Source(
        title="EfficientAD's teacher",
        url=f"{_ANOMALIB}/releases/download/efficientad_pretrained_weights/efficientad_pretrained_weights.zip",
        file_name="efficientad_pretrained_weights.zip",
        members=("pretrained_teacher_small.pth", "pretrained_teacher_medium.pth"),
        home=_ANOMALIB,
        expected=Expected(sha256="c09aeaa2b33f244b3261a5efdaeae8f8284a949470a4c5a526c61275fe62684a"),
    ),
    "adm_imagenet_256": Source(
        title="ADM, ImageNet 256, unconditional",
        url="https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
        file_name="256x256_diffusion_uncond.pt",
        home="https://github.com/openai/guided-diffusion",
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
