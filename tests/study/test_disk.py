import pytest
import timm
import torch

from tests.study.test_work import CONFIG, STUDY
from variad.networks import efficientnet_lite0
from variad.networks.pdn import NETWORKS, PDN
from variad.study.jobs import PlannedJob
from variad.study.plan import downloads, images_and_steps, result_bytes, result_total
from variad.study.sizes import LAYERS, Study, layer_shapes


def test_downloads_with_and_without_a_published_size():
    files = ["mvtec_anomaly_detection.tar.xz", "btad.zip"]
    assert downloads([*(PlannedJob("fetch_archive", name) for name in files), PlannedJob("fetch_wordnet", "")]) == [
        ("MVTec AD", 5_260_000_000),
        ("BTAD (beanTech)", None),
    ]
    assert downloads([PlannedJob("fetch_weights", "pretrained_teacher_small.pth")])[0][0] == "EfficientAD's teacher"


def test_layers_of_networks():
    extractor = {"backbone": "wide_resnet50_2.tv_in1k", "layers": ["layer1", "layer3"], "side": 256}
    assert layer_shapes(extractor) == [(256, 64), (1024, 16)]
    assert layer_shapes(extractor, ["layer3"]) == [(1024, 16)]
    assert layer_shapes({**extractor, "backbone": "pdn_small", "layers": ["features"]}) == [(384, 56)]
    assert layer_shapes({**extractor, "backbone": "some_net"}) is None


@pytest.mark.parametrize("side", [112, 226, 50])
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_patch_description_networks_are_as_the_networks_have_them(name, side):
    with torch.device("meta"):
        features = PDN(NETWORKS[name])(torch.zeros(1, 3, side, side))
    extractor = {"backbone": name, "layers": ["features"], "side": side}
    assert layer_shapes(extractor) == [(features.shape[1], features.shape[2])]


@pytest.mark.parametrize("name", LAYERS)
def test_channels_and_strides_are_as_the_networks_have_them(name):
    if name == "efficientnet_lite0":
        channels, strides = efficientnet_lite0.STAGE_CHANNELS, efficientnet_lite0.STAGE_STRIDES
        known = {layer: (channels[layer], strides[layer]) for layer in channels}
    else:
        with torch.device("meta"):
            described = timm.create_model(name, pretrained=False, features_only=True).feature_info.info
        known = {layer["module"]: (layer["num_chs"], layer["reduction"]) for layer in described}
    assert LAYERS[name].items() <= known.items()


def test_bytes_of_results():
    a_feature_map = (128 * 28 * 28 + 256 * 14 * 14) * 4
    assert result_bytes(PlannedJob("extract_features", "d.c.train.e"), STUDY) == 100 * a_feature_map
    assert result_bytes(PlannedJob("build_training_set", "d.c.one_shot.copies"), STUDY) == 10 * 64 * 64 * 3
    # one of five runs keeps its maps: 40 images of half a megapixel, float32
    assert result_bytes(PlannedJob("score_test_set", "d.c.one_shot.copies.bank"), STUDY) == pytest.approx(
        40 * 0.5e6 * 4
    )
    smaller = Study({**CONFIG, "study": {**CONFIG["study"], "keep_map_side": 128}}, STUDY.sizes)
    assert result_bytes(PlannedJob("score_test_set", "d.c.one_shot.copies.bank"), smaller) == 40 * 128 * 128 * 4
    jobs = [
        PlannedJob("build_training_set", "d.c.one_shot.copies"),
        PlannedJob("extract_features", "d.unseen.train.e"),
        PlannedJob("plot_gains", ""),
    ]
    assert result_total(jobs, STUDY) == (122_880, 1)


def test_images_and_steps():
    names = ["d.c.one_shot.generated", "d.c.one_shot.copies", "d.unseen.full_shot.generated"]
    assert images_and_steps([PlannedJob("build_training_set", name) for name in names], STUDY) == (50, 800, 1)
