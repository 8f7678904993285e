import dataclasses
import inspect

import pytest

from tests.rule_packages import rules_with_scripts
from variad.detectors.efficientad import EfficientADSettings
from variad.detectors.interface import METHODS, default_settings, detector_class
from variad.networks.conse import RESOLUTION
from variad.study.jobs import PlannedJob
from variad.study.sizes import Size, Study, sizes_of
from variad.study.work import GPU_RULES, Work, image_encoder, variant_of, work_of

GENERATE = {
    "method": "generate", "vqgan": "small", "encoder": "conse", "guidance": 1.0, "iterations": 20, "cutouts": 4,
    "precision": "float32", "images_per_shot": {"one_shot": 8, "full_shot": 0.03},
}  # fmt: skip
CONFIG = {
    "image_size": 64,
    "datasets": {"d": {"adapter": "folder", "settings": {}, "prompts": {}, "categories": {"c": {}, "unseen": {}}}},
    "scenarios": {"one_shot": {"shots": 1, "runs": 5}, "full_shot": {"shots": "all", "runs": 2}},
    "prompts": {"word_source": "wordnet_all", "words_per_round": 1000, "rounds": 100},
    "training_sets": {
        "original": {"method": "none"},
        "generated": GENERATE,
        "tuned": {**GENERATE, "guidance": 0},
        "copies": {"method": "duplicate", "images_per_shot": {"one_shot": 2, "full_shot": 1}},
    },
    "encoders": {
        "conse": {"kind": "conse", "resolution": 128},
        "clip": {"kind": "open_clip", "model": "ViT-B-16-quickgelu"},
    },
    "extractors": {
        "e": {
            "backbone": "resnet18.tv_in1k", "layers": ["layer2", "layer3"], "resolution": 256, "crop": 224,
            "kept": True,
        },
    },
    "detectors": {
        "bank": {
            "method": "patchcore", "extractor": "e", "layers": None,
            "settings": {"coreset_fraction": 0.1, "coreset_limit": 70, "projection": 10},
        },
        "flow": {"method": "cflow", "extractor": "e", "layers": ["layer3"], "settings": {"epochs": 200}},
        "student": {"method": "efficientad", "extractor": "e", "layers": None, "settings": {"steps": 100}},
        "own": {"method": "my_detector.py", "extractor": "e", "layers": None, "settings": {}},
    },
    "study": {"only": {"flow": {"runs": 3}}, "keep_map_runs": [0], "keep_map_side": None},
}  # fmt: skip
STUDY = Study(CONFIG, {("d", "c"): Size(train=100, test=40, megapixels=0.5), ("d", "unseen"): None})


def of(rule, name):
    work = work_of(PlannedJob(rule, name), STUDY)
    return None if work is None else (work.variant, dict(work.units))


@pytest.mark.parametrize(
    ("name", "variant", "units"),
    [
        ("d.c.one_shot.original", "none", {}),
        ("d.c.one_shot.copies", "duplicate", {"images": 10}),  # 5 runs, 1 shot, 2 each
        ("d.c.full_shot.copies", "duplicate", {"images": 200}),  # 2 runs, 100 shots
        ("d.c.one_shot.tuned", "generate, small at 64 px, float32", {"images": 40}),
        # 5 runs of 8 images, 20 iterations each
        (
            "d.c.one_shot.generated",
            "generate, small at 64 px, float32, conse 128 px, 4 cutouts",
            {"image_iterations": 800},
        ),
        # 2 runs of round(0.03 * 100) images
        (
            "d.c.full_shot.generated",
            "generate, small at 64 px, float32, conse 128 px, 4 cutouts",
            {"image_iterations": 120},
        ),
    ],
)
def test_images_of_a_training_set(name, variant, units):
    assert of("build_training_set", name) == (variant, units)


def test_a_full_shot_of_unknown_size_is_unknown_and_one_shot_is_not():
    assert of("build_training_set", "d.unseen.full_shot.copies") is None
    assert of("build_training_set", "d.unseen.one_shot.copies") == ("duplicate", {"images": 10})
    assert of("extract_features", "d.unseen.train.e") is None


UNLABELLED = {
    "chosen": {"method": "unlabelled"},
    "tested": {"method": "unlabelled", "transductive": True},
    "ten": {"method": "unlabelled", "size": 10},
    "more": {**GENERATE, "method": "unlabelled_generated", "then": "generate", "images_per_image": 0.5, "guidance": 0},
    "guided": {**GENERATE, "method": "unlabelled_generated", "then": "generate", "images_per_image": 0.5},
    "sharp": {"method": "unlabelled_generated", "then": "augment", "images_per_image": 2},
}


@pytest.mark.parametrize(
    ("name", "variant", "units", "pictures", "seen"),
    [
        # 30 photographs once, whatever the runs; every one of the five runs sees its shot and all of them
        ("chosen", "duplicate", {"images": 30}, 30, 31),
        ("tested", "duplicate", {"images": 40}, 40, 41),
        ("ten", "duplicate", {"images": 10}, 10, 11),
        # 5 runs of round(0.5 * 31) = 16 made images
        ("more", "generate, small at 64 px, float32", {"images": 80}, 110, 47),
        (
            "guided",
            "generate, small at 64 px, float32, conse 128 px, 4 cutouts",
            {"image_iterations": 1600},
            110,
            47,
        ),
        ("sharp", "augment", {"images": 310}, 340, 93),
    ],
)
def test_photographs_are_counted_once_and_what_is_made_of_them_in_every_run(name, variant, units, pictures, seen):
    config = {**CONFIG, "training_sets": {**CONFIG["training_sets"], **UNLABELLED}}
    study = Study(config, {("d", "c"): Size(train=100, test=40, megapixels=0.5, unlabelled=30)})

    def units_of(rule, place):
        work = work_of(PlannedJob(rule, place), study)
        return work.variant, dict(work.units)

    assert units_of("build_training_set", f"d.c.one_shot.{name}") == (variant, units)
    training = work_of(PlannedJob("train_detector", f"d.c.one_shot.{name}.bank"), study)
    assert training.units["images"] == 5 * seen
    assert training.also == {"extract_features": Work("resnet18.tv_in1k at 224 px", {"images": pictures})}


def test_photographs_of_a_folder_that_nobody_has_listed_are_counted_by_their_files(tmp_path):
    for name in ("a.png", "b.JPG", "monday/c.tif", "notes.txt"):
        file = tmp_path / "lid" / "unlabelled" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    own = {"adapter": "folder", "path": str(tmp_path), "settings": {}, "prompts": {}, "categories": {"lid": {}}}
    two = {"two": {"method": "unlabelled", "size": 2}}
    config = {**CONFIG, "datasets": {"d": own}, "training_sets": UNLABELLED | two}
    study = Study(config, {("d", "lid"): None})
    place = {"dataset": "d", "category": "lid", "scenario": "one_shot"}
    assert study.all_added({**place, "training_set": "chosen"}) == 3
    assert study.all_added({**place, "training_set": "two"}) == 2
    assert study.all_added({**place, "training_set": "sharp"}) == 3 + 5 * 2 * (1 + 3)


@pytest.mark.parametrize(
    ("score", "candidates", "compared"),
    # each pair once, and the shot of every run; of a large pile 300 stand for all
    [("mutual", 30, 15 + 5), ("rounds", 30, 15 + 5), ("shot", 30, 5), ("mutual", 400, 300 + 5)],
)
def test_a_choice_compares_the_patches_of_pictures(score, candidates, compared):
    sets, study = {"chosen": {"method": "unlabelled", "score": score}}, {**CONFIG["study"], "detectors": ["bank"]}
    size = Size(train=100, test=40, megapixels=0.5, unlabelled=candidates)
    found = Study({**CONFIG, "training_sets": sets, "study": study}, {("d", "c"): size})
    work = work_of(PlannedJob("choose_unlabelled", "d.c.one_shot.chosen"), found)
    # 14 x 14 positions with the channels of both layers
    products = candidates * compared * 196**2 * (128 + 256)
    assert work.units == {"images": candidates, "product_giga": pytest.approx(products / 1e9)}


def test_memory_bank():
    # 1 shot + 8 images of 28 x 28 patches; a tenth would be 705, the limit is 70
    _, units = of("train_detector", "d.c.one_shot.generated.bank")
    assert units == {"images": 45, "coreset_giga": pytest.approx(5 * (9 * 784) * 70 * 10 / 1e9)}
    _, units = of("score_test_set", "d.c.one_shot.generated.bank")
    assert units["search_giga"] == pytest.approx(5 * 40 * 784 * 70 * (128 + 256) / 1e9)
    assert (units["images"], units["megapixels"]) == (200, 100)


def test_trainings_count_the_runs_that_the_detector_sees():
    variant, units = of("train_detector", "d.c.one_shot.generated.flow")
    assert units == {"image_epochs": 3 * 9 * 200}
    assert variant == (
        "cflow, resnet18.tv_in1k layer3 at 224 px, coupling_blocks 8, fiber_batch_size 256, precision float32"
    )
    assert of("train_detector", "d.c.one_shot.generated.student")[1] == {"steps": 500}


def detector(method, **settings):
    """A study of one more detector, and its work on one shot and 8 added images, in 5 runs."""
    entry = {"method": method, "extractor": "e", "layers": None, "settings": settings}
    study = Study({**CONFIG, "detectors": {"plain": entry}}, STUDY.sizes)
    return entry, work_of(PlannedJob("train_detector", "d.c.one_shot.generated.plain"), study)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_detector_leaves_out_is_counted_as_its_own_class_has_it(method):
    if method == "efficientad":
        defaults = {field.name: field.default for field in dataclasses.fields(EfficientADSettings)}
    else:
        arguments = inspect.signature(detector_class(method)).parameters.values()
        defaults = {one.name: one.default for one in arguments if one.name not in ("device", "extractor")}
    defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    assert default_settings(method) == defaults
    (left_out, plain), (spelt_out, full) = detector(method), detector(method, **defaults)
    assert plain == full
    assert variant_of(STUDY, left_out) == variant_of(STUDY, spelt_out)


@pytest.mark.parametrize(
    ("method", "units"),
    [
        ("cflow", {"image_epochs": 5 * 9 * 200}),
        ("reverse_distillation", {"image_epochs": 5 * 9 * 200}),
        ("efficientad", {"steps": 5 * 70_000}),
        ("patchcore", {"images": 45, "coreset_giga": pytest.approx(5 * (9 * 784) * 705 * 128 / 1e9)}),
    ],
)
def test_work_of_detectors_without_settings(method, units):
    assert detector(method)[1].units == units


def test_an_encoder_without_a_resolution_is_counted_at_its_own():
    assert image_encoder({"kind": "conse", "resolution": None}) == f"conse {RESOLUTION} px"


def test_a_limit_of_steps_is_less_work():
    # an epoch of 9 images in batches of 4 has 3 steps, so that 6 steps are 2 epochs
    assert detector("reverse_distillation", batch_size=4, max_steps=6)[1].units == {"image_epochs": 5 * 9 * 2}
    assert detector("reverse_distillation", batch_size=4, max_steps=601)[1].units == {"image_epochs": 5 * 9 * 200}


def test_prompts_are_at_most_the_words_that_there_are():
    assert of("embed_candidates", "d.c.conse.wordnet_all") == ("MiniLM", {"texts": 83_118})
    assert of("embed_candidates", "d.c.clip.wordnet_all")[0] == "ViT-B-16-quickgelu"
    # full-shot: 2 runs of the same 100 images
    assert of("score_prompts", "d.c.full_shot.conse.wordnet_all") == ("conse 128 px", {"images": 100, "texts": 166_236})


def test_other_rules_are_one_unit():
    assert of("plot_gains", "") == ("", {})


def test_published_sizes_and_those_of_the_settings(tmp_path):
    config = {
        "datasets": {
            "mvtec": {"adapter": "mvtec_ad", "settings": {}, "categories": {"bottle": {}, "my_own": {}}},
            "elpv": {"adapter": "elpv", "settings": {"train_good": 7, "test_good": 5}, "categories": {"mono": {}}},
            "textures": {"adapter": "textures", "settings": {"train_good": 9}, "categories": {"brick": {}}},
        }
    }
    pool = {"good": 60, "defective": 0.25}  # of 80 images
    config["datasets"]["pooled"] = {**config["datasets"]["mvtec"], "pool": pool}
    sizes = sizes_of(config, tmp_path)
    assert sizes["mvtec", "bottle"] == Size(209, 83, 0.81)
    assert sizes["pooled", "bottle"] == Size(149, 63, 0.81, 80)
    assert sizes["mvtec", "my_own"] is sizes["pooled", "my_own"] is None
    assert sizes["elpv", "mono"] == Size(7, 105, 0.09)
    assert sizes["textures", "brick"] == Size(9, 64, 0.016384)  # 32 good, 4 kinds of 8


def test_rules_that_may_use_a_gpu_are_those_of_the_workflow():
    assert set(GPU_RULES) == {rule.name for rule in rules_with_scripts() if rule.asks_for_gpu}


def test_a_training_set_that_adds_nothing_has_no_images_to_see():
    assert work_of(PlannedJob("train_detector", "d.c.one_shot.original.bank"), STUDY).also == {}


def test_features_that_are_not_kept_are_the_work_of_who_needs_them():
    extractors = {"e": {**CONFIG["extractors"]["e"], "kept": False}}
    study = Study({**CONFIG, "extractors": extractors}, STUDY.sizes)

    def seen(rule, name):
        return work_of(PlannedJob(rule, name), study).also["extract_features"].units["images"]

    assert seen("score_test_set", "d.c.one_shot.copies.bank") == 40
    assert seen("train_detector", "d.c.one_shot.copies.bank") == 5 + 10  # shots of five runs and two copies of each
    assert seen("train_detector", "d.c.full_shot.copies.bank") == 100 + 200  # every photograph once, whatever the runs
    assert work_of(PlannedJob("score_test_set", "d.c.one_shot.copies.bank"), STUDY).also == {}
