"""The pieces of work that ``unit_costs.py`` measures, part by part; each gives rows of rule, variant, unit, seconds."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from variad.generation.settings import is_guided
from variad.study.sizes import Study, layer_shapes
from variad.study.work import image_encoder, settings_of, text_encoder, variant_of

Row = tuple[str, str, str, float]
TEXTS = 512
PENALTY = {"efficientad": {"penalty": "photographs"}}  # Imagenette's are downloaded, and cost the same
IMAGES = 4
GPU_IMAGES = 32
ITERATIONS = 20  # of guided images on a GPU: after the first few, steps are replayed


@dataclass(frozen=True)
class Place:
    """Where work is measured, and how much of it is done at once: a GPU is idle for most of a small batch."""

    device: str = "cpu"

    def of(self, on_cpu: int, on_gpu: int) -> int:
        """So many, by device."""
        return on_gpu if self.device == "cuda" else on_cpu

    def measured(self, work: Callable[[], Any]) -> float:
        """CPU seconds of one call, or seconds on the clock of a second one on a GPU."""
        if self.device == "cpu":
            return measured(work)
        work()
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start


def measured(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def texts(study: Study, at: Place) -> Iterator[Row]:
    """Embedding prompts, and the shots that they are compared with."""
    from variad.generation.prompts import embed_texts
    from variad.networks.conse import load_minilm

    prompts = [f"a metal nut with {word}" for word in _words(20 * TEXTS)]
    if at.device == "cpu":  # where it stays
        minilm = load_minilm()
        minilm.encode_text = minilm.encode  # type: ignore[attr-defined]
        yield "embed_candidates", "MiniLM", "texts", measured(lambda: embed_texts(minilm, prompts)) / len(prompts)  # type: ignore[arg-type]
    for entry in study.config["encoders"].values():
        if entry["kind"] != "open_clip":
            continue
        clip, count = open_clip_encoder(entry["model"], at.device), at.of(IMAGES, GPU_IMAGES)
        few = prompts[: at.of(TEXTS, 10 * TEXTS)]
        yield "embed_candidates", text_encoder(entry), "texts", at.measured(lambda: embed_texts(clip, few)) / len(few)  # noqa: B023
        side = study.config["image_size"]
        images = torch.rand(count, 3, side, side, device=at.device)
        with torch.no_grad():
            seconds = at.measured(lambda: clip.encode_image(images)) / count  # noqa: B023
        yield "score_prompts", image_encoder(entry), "images", seconds
        yield "score_prompts", image_encoder(entry), "texts", _scoring(prompts)


def generation(study: Study, at: Place) -> Iterator[Row]:
    """Guided iterations, and images without any; on a GPU a training set's batches, with what each costs once."""
    from variad.generation.engine import generate
    from variad.generation.guidance import Guide
    from variad.generation.settings import GenerationSettings, Request

    vqgan, side, seen = vqgan_f16(), study.config["image_size"], set()
    count = at.of(1, GPU_IMAGES)
    parents = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    wanted = [Request(0, "", seed) for seed in range(count)]
    for recipe in study.config["training_sets"].values():
        if recipe["method"] != "generate":
            continue
        by, steps, more = None, (0, 0), at.of(1, ITERATIONS)
        variant = f"generate, {recipe['vqgan']} at {side} px, {recipe['precision']}"
        if is_guided(recipe):
            encoder = study.config["encoders"][recipe["encoder"]]
            variant += f", {image_encoder(encoder)}, {recipe['cutouts']} cutouts"
            clip = open_clip_encoder(encoder["model"], at.device)
            texts_of = torch.nn.functional.normalize(torch.randn(count, 512), dim=1)
            by, steps = Guide(clip, texts_of), (more, 2 * more)
        if variant in seen:
            continue
        seen.add(variant)
        kinds = [GenerationSettings.of({**recipe, "iterations": count}) for count in steps]
        took = [at.measured(lambda: generate(parents, wanted, kind, vqgan, by, at.device)) for kind in kinds]  # noqa: B023
        unit, seconds = ("image_iterations", (took[1] - took[0]) / more) if by else ("images", took[1])
        yield "build_training_set", variant, unit, seconds / count


def features(study: Study, at: Place) -> Iterator[Row]:
    """A forward pass of every extractor, and on a GPU the copy of what it gives."""
    seen = set()
    for name in sorted({study.config["detectors"][one]["extractor"] for one in study.config["study"]["detectors"]}):
        entry = study.extractor(name)
        variant = f"{entry['backbone']} at {entry['side']} px"
        if variant in seen:
            continue
        seen.add(variant)
        count, network = at.of(IMAGES, GPU_IMAGES), _backbone(entry["backbone"]).to(at.device)
        images = torch.rand(count, 3, entry["side"], entry["side"], device=at.device)

        def forward(network: Any = network, images: torch.Tensor = images) -> None:
            maps = network(images)
            if at.device == "cuda":
                for values in maps if isinstance(maps, list) else [maps]:
                    values.permute(0, 2, 3, 1).contiguous().cpu()

        with torch.inference_mode():
            network(images[:1])
            seconds = at.measured(forward) / count
        yield "extract_features", variant, "images", seconds


def detectors(study: Study, at: Place) -> Iterator[Row]:
    """A step of every detector's training, and scoring an image: on random features: the time is the same."""
    from variad.detectors.interface import create_detector

    for name in study.config["study"]["detectors"]:
        entry = study.config["detectors"][name]
        variant, method = variant_of(study, entry), entry["method"]
        if method == "patchcore":
            yield from _patchcore(study, entry, variant, at)
            continue
        given = {**entry["settings"], **PENALTY.get(method, {})}
        short, long, units, count = _trainings(method, given, at)
        made = [create_detector(method, given | of, _extractor(study, entry), at.device) for of in (short, long)]
        training = _images_with_features(study, entry, count)
        took = [at.measured(lambda: one.fit(training, np.random.default_rng(0))) for one in made]  # noqa: B023
        unit = "steps" if method == "efficientad" else "image_epochs"
        yield "train_detector", variant, unit, (took[1] - took[0]) / units
        scored = at.of(2, GPU_IMAGES)
        one = training.rows([row % count for row in range(scored)])
        yield "score_test_set", variant, "images", at.measured(lambda: made[0].score(one)) / scored  # noqa: B023
        yield "score_test_set", variant, "megapixels", _megapixel(study, entry, at)


def _trainings(method: str, settings: dict[str, Any], at: Place) -> tuple[dict[str, Any], dict[str, Any], int, int]:
    """Settings of a short and of a longer training, what the latter has more, in steps or image epochs, and images.

    On a GPU a training replays its steps after the first few, so both are longer than that.
    """
    if method == "efficientad":
        few, many = at.of(1, 50), at.of(2, 250)
        return {"steps": few}, {"steps": many}, many - few, 2
    few, many = at.of(1, 5), at.of(2, 25)
    images = at.of(2 if method == "cflow" else 4, settings.get("batch_size", 4))
    return {"epochs": few}, {"epochs": many}, (many - few) * images, images


def _patchcore(study: Study, entry: dict[str, Any], variant: str, at: Place) -> Iterator[Row]:
    if at.device == "cuda":
        yield from _patchcore_on_gpu(study, entry, variant, at)
        return
    from variad.detectors.memory_bank import BankSearch, embed_patches, greedy_coreset

    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or []
    channels, side = sum(width for width, _ in shapes), max(side for _, side in shapes)
    draw, dimensions = np.random.default_rng(0), settings_of(entry)["projection"]
    points = draw.standard_normal((40_000, dimensions)).astype(np.float32)
    took = measured(lambda: greedy_coreset(points, 1000, np.random.default_rng(0)))
    yield "train_detector", variant, "coreset_giga", took / (len(points) * 1000 * dimensions / 1e9)
    maps = _images_with_features(study, entry, 8).features
    yield "train_detector", variant, "images", measured(lambda: embed_patches(maps)) / 8
    bank = draw.standard_normal((20_000, channels)).astype(np.float32)
    queries, search = draw.standard_normal((4 * side * side, channels)).astype(np.float32), BankSearch(bank)
    took = measured(lambda: search.nearest(queries))
    yield "score_test_set", variant, "search_giga", took / (len(queries) * len(bank) * channels / 1e9)
    yield "score_test_set", variant, "images", measured(lambda: embed_patches(maps)) / 8
    yield "score_test_set", variant, "megapixels", _megapixel(study, entry, at)


def _patchcore_on_gpu(study: Study, entry: dict[str, Any], variant: str, at: Place) -> Iterator[Row]:
    """Embedding and search are one there: the share of each is told by two sizes of the bank."""
    from variad.detectors.patchcore_gpu import GpuBank, greedy_coreset

    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or []
    channels, side = sum(width for width, _ in shapes), max(side for _, side in shapes)
    draw, dimensions = np.random.default_rng(0), settings_of(entry)["projection"]
    cloud = torch.rand(80_000, dimensions, device=at.device)
    took = at.measured(lambda: greedy_coreset(cloud, 4000, np.random.default_rng(0)))
    yield "train_detector", variant, "coreset_giga", took / (len(cloud) * 4000 * dimensions / 1e9)
    maps = _images_with_features(study, entry, GPU_IMAGES).features
    sizes, seconds = (1000, 20_000), []
    for size in sizes:
        bank = GpuBank(draw.standard_normal((size, channels)).astype(np.float32), at.device)
        seconds.append(at.measured(lambda: bank.score(maps, settings_of(entry)["neighbours"])))  # noqa: B023
    giga = [GPU_IMAGES * side * side * size * channels / 1e9 for size in sizes]
    search = max(0.0, (seconds[1] - seconds[0]) / (giga[1] - giga[0]))
    embedding = max(0.0, seconds[0] - search * giga[0]) / GPU_IMAGES
    yield "train_detector", variant, "images", embedding
    yield "score_test_set", variant, "search_giga", search
    yield "score_test_set", variant, "images", embedding
    yield "score_test_set", variant, "megapixels", _megapixel(study, entry, at)


def _megapixel(study: Study, entry: dict[str, Any], at: Place) -> float:
    """An anomaly map at the image's own size, its pixel metrics, and a file in one of five runs."""
    from variad.detectors.anomaly_map import MapSize, full_size_map
    from variad.detectors.scoring import write_map
    from variad.evaluation.pixel import evaluate_maps

    side = study.extractor(entry["extractor"])["side"]
    patch_map = np.random.default_rng(0).random((side // 8, side // 8), dtype=np.float32)
    mask = np.zeros((1024, 1024), bool)
    mask[300:400, 500:600] = True
    names = [str(number) for number in range(8)]
    size = MapSize(1024, 1024, side, None, 4.0)
    made = {name: full_size_map(patch_map, size) for name in names}

    def evaluate() -> None:
        maps = ((name, full_size_map(patch_map, size, at.device)) for name in names)
        evaluate_maps(maps, dict.fromkeys(names, 1), dict.fromkeys(names, mask))

    with tempfile.TemporaryDirectory() as folder:
        kept = measured(lambda: [write_map(Path(folder) / f"{name}.tiff", made[name]) for name in names])
    return (at.measured(evaluate) + kept / 5) / (len(names) * 1024 * 1024 / 1e6)


def _scoring(prompts: list[str]) -> float:
    """Cosines of five runs, their table, and best and worst, a run and text."""
    from variad.core.tables import write_table
    from variad.generation.candidates import make_candidates
    from variad.generation.prompts import read_texts, score_prompts, score_table, write_choice, write_texts

    draw = np.random.default_rng(0)
    drawn = (draw.standard_normal((count, 512)).astype(np.float32) for count in (len(prompts), 5))
    texts, images = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in drawn)
    words = make_candidates([(prompt, "") for prompt in prompts], "nut", 1000, "a {class_name} with {word}")
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder) / "texts.h5", prompts, texts, "")

        def score() -> None:
            similarity = score_prompts(images, read_texts(Path(folder) / "texts.h5", prompts))
            scores = score_table(words, range(5), similarity)
            write_table(Path(folder) / "scores.csv", scores, "prompt_scores")
            write_choice(Path(folder) / "choice.json", scores, encoder="", word_source="", class_name="")

        return measured(score) / (5 * len(prompts))


def _words(count: int) -> list[str]:
    """Words of WordNet at random, for texts as long as the workflow's."""
    from variad.generation.wordnet import fetch_wordnet, open_wordnet, single_words

    with tempfile.TemporaryDirectory() as folder:
        dictionary = Path(folder) / "corpora" / "wordnet"
        fetch_wordnet("package", dictionary)
        words = np.array(single_words(open_wordnet(dictionary)), dtype=object)
    return [str(word) for word in np.random.default_rng(0).permutation(words)[:count]]


def open_clip_encoder(name: str, device: str = "cpu") -> Any:
    """An open_clip model with random weights, wrapped as the workflow does."""
    import open_clip

    from variad.networks.openclip import OpenClip

    network = (
        open_clip.create_model(name, pretrained=None, precision="fp32", device=device).eval().requires_grad_(False)
    )
    tokenizer = open_clip.get_tokenizer(name)
    return OpenClip(name, network, open_clip.get_model_preprocess_cfg(network), tokenizer, device)


def vqgan_f16() -> Any:
    """The architecture of the published f16 models, with random weights."""
    from variad.networks.vqgan import VQGAN, VQGANConfig

    config = VQGANConfig(
        embed_dim=256, n_embed=16384, z_channels=256, ch=128, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=2,
        attn_resolutions=(16,), resolution=256,
    )  # fmt: skip
    vqgan = VQGAN(config).eval().requires_grad_(False)
    vqgan.codebook.normal_()
    return vqgan


def _backbone(name: str) -> Any:
    """A network with random weights, to its last layer but the classifier."""
    if name.startswith("pdn_"):
        from variad.networks.pdn import PDN, config_of

        return PDN(config_of(name)).eval().requires_grad_(False)
    import timm

    return timm.create_model(name.partition(".")[0], pretrained=False, features_only=True, out_indices=(1, 2, 3)).eval()


def _extractor(study: Study, entry: dict[str, Any]) -> Any:
    """What a detector is told; a PDN's weights are those that ship, its teacher."""
    from variad.detectors.interface import Extractor

    extractor = study.extractor(entry["extractor"])
    name = extractor["backbone"]
    weights = f"resources/{name}/model.safetensors" if name.startswith("pdn_") else None
    layers = tuple(entry["layers"] or extractor["layers"])
    return Extractor(name, layers, weights, extractor["side"], None)


def _images_with_features(study: Study, entry: dict[str, Any], count: int) -> Any:
    from variad.detectors.interface import DetectorInput

    extractor, draw = study.extractor(entry["extractor"]), np.random.default_rng(0)
    layers = entry["layers"] or extractor["layers"]
    shapes = layer_shapes(extractor, entry["layers"]) or []
    maps = {
        layer: draw.standard_normal((count, side, side, channels)).astype(np.float32)
        for layer, (channels, side) in zip(layers, shapes, strict=True)
    }
    side = extractor["side"]
    return DetectorInput(maps, draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


PARTS = {"texts": texts, "features": features, "detectors": detectors, "generation": generation}
