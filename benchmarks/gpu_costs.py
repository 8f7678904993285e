"""What a unit of work costs on a GPU, put together from parts that were measured there: for the plan, until it is
measured itself.

    python benchmarks/gpu_costs.py                                  # for the networks of config/paper.yaml

The parts are rows of ``gpu_steps.csv``, ``generation_gpu.csv`` and ``detectors_gpu.csv``. A training's step is taken
where the same network was measured in the same precision, and left out where it was not, so that the plan says that it
does not know. Steps of the generator are brought to other sizes by the arithmetic of decoder and encoder. Where a part
is more than the unit (a search with its embedding), the unit is charged all of it. ``unit_costs.py --device cuda`` and
``rule_costs.py --device cuda`` put measured rows in place of these.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

SOURCE = "gpu_costs.py: put together from parts"
COLUMNS = ["machine", "device", "rule", "variant", "unit", "seconds", "source"]
Row = tuple[str, str, str, float]  # rule, variant, unit, seconds
Key = tuple[str, str, str]
# what the parts were measured with (gpu_steps.py, generation_gpu.py)
CORESET = 80_000 * 128 / 1e9  # products of a pick, in units of ``coreset_giga``
SEARCHED, SEARCH = 32, 32 * 32 * 32 * 20_000 * 1536 / 1e9  # images, and products of their patches with the bank
FLOW = {"positions": 28 * 28 + 14 * 14 + 7 * 7, "blocks": 8, "fibre": 256}
STUDENT = "reverse_distillation, wide_resnet50_2"
GUIDED = {"side": 224, "cutouts": 4}
CLIP = "ViT-B-16-quickgelu"
TEXT = "a metal nut with a long word"  # as long as prompts are


@dataclass(frozen=True)
class Parts:
    """What was measured on one machine.

    Attributes:
        steps: of ``gpu_steps.csv``, by (part, variant).
        guided: seconds of an image and iteration by precision, in the batches that are fastest.
        start: seconds of the imports of a job.
    """

    machine: str
    steps: Mapping[tuple[str, str], float]
    guided: Mapping[str, float]
    start: float


def read_parts(folder: Path = HERE) -> Parts:
    """The parts of the machine that ``gpu_steps.csv`` names first."""
    steps = _rows(folder / "gpu_steps.csv")
    machine = steps[0]["machine"]
    guided: dict[str, float] = {}
    for row in _rows(folder / "generation_gpu.csv"):
        if row["machine"] == machine and row["engine"] == "variad" and not row["variant"] and row["step_ms"]:
            each = float(row["step_ms"]) / 1000 / int(row["batch"])
            guided[row["precision"]] = min(each, guided.get(row["precision"], each))
    imports = [float(row["import_s"]) for row in _rows(folder / "detectors_gpu.csv") if row["engine"] == "variad"]
    by_part = {(row["part"], row["variant"]): float(row["value"]) for row in steps if row["machine"] == machine}
    return Parts(machine, by_part, guided, max(imports))


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def generation(study: Any, parts: Parts) -> Iterator[Row]:
    """Steps of guided recipes, and images of the others, by the arithmetic of what they run."""
    from variad.generation.settings import is_guided
    from variad.study.work import image_encoder

    side, measured = study.config["image_size"], GUIDED["cutouts"] * arithmetic("encode_image", 224)
    measured += arithmetic("decode", GUIDED["side"])
    for recipe in study.config["training_sets"].values():
        if recipe["method"] != "generate" or recipe["precision"] not in parts.guided:
            continue
        variant = f"generate, {recipe['vqgan']} at {side} px, {recipe['precision']}"
        if is_guided(recipe):
            variant += f", {image_encoder(study.config['encoders'][recipe['encoder']])}, {recipe['cutouts']} cutouts"
            wanted = arithmetic("decode", side) + recipe["cutouts"] * arithmetic("encode_image", 224)
            yield (
                "build_training_set",
                variant,
                "image_iterations",
                parts.guided[recipe["precision"]] * wanted / measured,
            )
        else:  # an encoding and two decodings, in float32, forward alone
            wanted = arithmetic("encode", side) + 2 * arithmetic("decode", side)
            yield "build_training_set", variant, "images", parts.guided["float32"] * wanted / (2 * measured)


def texts(study: Any, parts: Parts, on_cpu: Mapping[Key, float]) -> Iterator[Row]:
    """Texts and photographs through CLIP, forward alone, in float32; what compares them is the CPU's there as well.

    Cutting texts into tokens, the CPU's work too, is not in it: 33 us a text with this tokenizer.
    """
    from variad.study.work import image_encoder, text_encoder

    measured = GUIDED["cutouts"] * arithmetic("encode_image", 224) + arithmetic("decode", GUIDED["side"])
    for entry in study.config["encoders"].values():
        if entry.get("model") != CLIP:
            continue
        for rule, variant, unit, what in (
            ("embed_candidates", text_encoder(entry), "texts", "encode_text"),
            ("score_prompts", image_encoder(entry), "images", "encode_image"),
        ):
            yield rule, variant, unit, parts.guided["float32"] * arithmetic(what, 224) / measured
        compared = ("score_prompts", image_encoder(entry), "texts")
        if compared in on_cpu:
            yield *compared, on_cpu[compared]


def arithmetic(what: str, side: int) -> float:
    """Operations of one image's pass through the published VQGAN f16 or CLIP ViT-B/16, counted on shapes alone.

    Args:
        what: ``encode`` or ``decode`` of the VQGAN, ``encode_image`` or ``encode_text`` of CLIP.
        side: of the image, pixels; a text has none.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from unit_work import open_clip_encoder, vqgan_f16

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if what == "encode_text":
            open_clip_encoder(CLIP).encode_text([TEXT])
        else:
            with torch.device("meta"):
                network = open_clip_encoder(CLIP, "meta") if what == "encode_image" else vqgan_f16()
                decodes = what == "decode"
                given = torch.empty(1, 256, side // 16, side // 16) if decodes else torch.empty(1, 3, side, side)
            getattr(network, what)(given)
    return float(counter.get_total_flops())


def features(study: Any, parts: Parts) -> Iterator[Row]:
    """Images through any backbone: nearly all of it is reading, resizing and writing, measured at the largest size."""
    for name in sorted({study.config["detectors"][one]["extractor"] for one in study.config["study"]["detectors"]}):
        entry = study.extractor(name)
        seconds = parts.steps["features", entry["stored_as"]] / 1000
        yield "extract_features", f"{entry['backbone']} at {entry['side']} px", "images", seconds


def detectors(study: Any, parts: Parts, on_cpu: Mapping[Key, float]) -> Iterator[Row]:
    """Training and scoring; metrics and files of maps are the CPU's there as well.

    Args:
        on_cpu: seconds of units on a CPU, by rule, variant and unit.
    """
    from variad.study.work import variant_of

    for name in study.config["study"]["detectors"]:
        entry = study.config["detectors"][name]
        variant, found = variant_of(study, entry), list(_units(study, entry, parts))
        for rule, unit, seconds in found:
            yield rule, variant, unit, seconds
        maps = [
            seconds
            for (rule, of, unit), seconds in on_cpu.items()  # a map has no precision
            if (rule, unit) == ("score_test_set", "megapixels") and _unrounded(of) == _unrounded(variant)
        ]
        if found and maps:
            yield "score_test_set", variant, "megapixels", max(maps)


def _unrounded(variant: str) -> str:
    return ", ".join(word for word in variant.split(", ") if not word.startswith("precision "))


def _units(study: Any, entry: Mapping[str, Any], parts: Parts) -> Iterator[tuple[str, str, float]]:
    """(rule, unit, seconds) of a detector; none where its steps were not measured."""
    from variad.study.sizes import layer_shapes
    from variad.study.work import settings_of, variant_of

    steps, settings, method = parts.steps, settings_of(entry), entry["method"]
    extractor = study.extractor(entry["extractor"])
    sides = [side for _, side in layer_shapes(extractor, entry["layers"]) or []]
    if method == "patchcore":
        whole = steps["patchcore", "32 images"] / 1000
        yield "train_detector", "coreset_giga", steps["patchcore", "coreset, replayed"] / 1e6 / CORESET
        yield "train_detector", "images", whole / SEARCHED
        yield "score_test_set", "search_giga", whole / SEARCH
        yield "score_test_set", "images", whole / SEARCHED
    elif method == "cflow" and settings["fiber_batch_size"] == FLOW["fibre"]:
        step = steps.get(("cflow", f"{settings['precision']}, replayed"))
        if step is not None and settings["coupling_blocks"] == FLOW["blocks"]:
            positions = sum(side**2 for side in sides)
            yield "train_detector", "image_epochs", step / 1000 * positions / FLOW["fibre"]
            yield "score_test_set", "images", steps["cflow", "32 images"] / 32_000 * positions / FLOW["positions"]
    elif method == "reverse_distillation" and variant_of(study, entry).startswith(STUDENT):
        variant = f"Wide ResNet-50, {settings['precision']}"
        launched = steps.get((method, f"{variant}, launched"))  # takes no less than one that is replayed
        step = steps.get((method, f"{variant}, replayed"), launched)
        measured = (
            settings["block"] == "bottleneck" and list(settings["blocks"]) == [3, 4, 6] and extractor["side"] == 256
        )
        if step is not None and measured and settings["batch_size"] == 16:
            yield "train_detector", "image_epochs", step / 1000 / 16
            yield "score_test_set", "images", step / 1000 / 16  # less: a step runs backwards as well
    elif method == "efficientad":
        measured = (extractor["backbone"], extractor["side"], settings["precision"]) == ("pdn_small", 256, "bfloat16")
        if measured and settings["batch"] == 1 and settings["autoencoder"]:
            kind = settings["penalty"] if settings["penalty"] in ("none", "photographs") else "JPEGs"
            yield "train_detector", "steps", steps["efficientad", f"penalty of {kind}, replayed"] / 1000
            yield "score_test_set", "images", steps["efficientad", "32 images"] / 32_000


def main() -> None:
    """Write the rows, in place of those of an earlier call; measured ones stay."""
    import pandas as pd

    from variad.core.tables import read_table, write_table
    from variad.study.configuration import load_yaml, resolve
    from variad.study.sizes import Study
    from variad.study.work import GPU_RULES, read_costs

    parser = argparse.ArgumentParser(description="GPU costs for the plan, from parts.")
    parser.add_argument("--config", type=Path, nargs="+", default=[HERE.parent / "config" / "paper.yaml"])
    parser.add_argument("--output", type=Path, default=HERE / "rule_costs.csv")
    arguments = parser.parse_args()
    parts, table = read_parts(), read_table(arguments.output, "rule_costs")
    found: dict[Key, float] = {(rule, "", "job"): parts.start for rule in GPU_RULES}
    for path in arguments.config:
        study = Study(resolve(load_yaml(path), HERE.parent / "config" / "config.yaml"), {})
        on_cpu = read_costs(arguments.output).seconds
        for rule, variant, unit, seconds in (
            *generation(study, parts), *features(study, parts), *detectors(study, parts, on_cpu),
            *texts(study, parts, on_cpu),
        ):  # fmt: skip
            found[rule, variant, unit] = seconds
    for key, seconds in read_costs(arguments.output).seconds.items():
        if key[0] == "build_training_set" and key[1] in ("none", "duplicate", "augment"):  # which never use a GPU
            found[key] = seconds
    others = table[table["source"] != SOURCE]
    here = others[(others["device"] == "cuda") & (others["machine"] == parts.machine)]
    measured = set(here[COLUMNS[2:5]].itertuples(index=False, name=None))
    rows = [
        (parts.machine, "cuda", *key, round(seconds, 9), SOURCE)
        for key, seconds in found.items()
        if key not in measured
    ]
    write_table(arguments.output, pd.concat([others, pd.DataFrame(rows, columns=COLUMNS)]), "rule_costs")
    print(f"{len(rows)} costs of {parts.machine}")


if __name__ == "__main__":
    main()
