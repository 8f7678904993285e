"""A small results tree, laid out as the data contracts say, with names that would break careless code."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import tifffile

from variad.core.tables import write_table
from variad.report.gallery import PageSources

NASTY = (
    "train/good/<script>alert(1)",
    "train/good/\"quoted\" 'name', with a comma",
    "train/good/Löt stelle #1 100%",
    "train/good/<b>&amp;",
    "train/good/日本",
)


def flat(value: float, size: int = 16) -> np.ndarray:
    """A grey image of one value."""
    return np.full((size, size, 3), value, dtype=np.uint8)


@dataclass
class Study:
    """What ``build_category`` makes; the defaults have every optional part."""

    root: Path
    dataset: str = "elpv"
    category: str = "Müller & Söhne #1"
    size: int = 16
    runs: int = 2
    tests: int = 8
    added_a_run: int = 6
    masks: bool = True
    guided: bool = True
    training_sets: tuple[str, ...] = ("original", "generated", "duplicated")
    detectors: tuple[str, ...] = ("patchcore",)
    shots: tuple[str, ...] = field(default=NASTY)
    map_shape: tuple[int, int] = (24, 20)

    @property
    def folder(self) -> Path:
        return self.root / "results" / self.dataset / self.category

    @property
    def test_names(self) -> list[str]:
        return [f"test/{'good' if i % 2 == 0 else 'crack <i>'}/{i:03d} ä" for i in range(self.tests)]

    def cells(self) -> list[Path]:
        return [self.folder / "one_shot" / s / d for s in self.training_sets for d in self.detectors]

    def sources(self) -> PageSources:
        return PageSources(
            dataset=self.dataset,
            category=self.category,
            images=[self.folder / "images.h5"],
            manifests=[self.folder / "manifest.csv"],
            shots=self.folder / "shots.csv",
            prompts=[self.folder / "one_shot" / "prompts" / "conse.wordnet_related.json"] if self.guided else [],
            added=[self.folder / "one_shot" / name / "added.h5" for name in self.training_sets],
            scores=[cell / "scores.csv" for cell in self.cells()],
        )


def pixels(study: Study, name: str) -> np.ndarray:
    """The image of a name: one grey value, told by its place in the manifest."""
    names = [*study.shots, *study.test_names]
    return flat(20 + 10 * names.index(name), study.size)


def build_category(study: Study, draw=pixels) -> Study:
    """Write manifest, images, shots, prompts, added images, scores and maps."""
    names = [*study.shots, *study.test_names]
    _write_manifest(study, names)
    study.folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(study.folder / "images.h5", "w") as file:
        file["images"] = np.stack([draw(study, name) for name in names])
        file["image_id"] = names
        for name in study.test_names[1::2] if study.masks else []:
            mask = np.zeros(study.map_shape, np.uint8)
            mask[2:5, 3:6] = 255
            file[f"masks/{name}"] = mask
    table = [("one_shot", run, study.shots[run % len(study.shots)]) for run in range(study.runs)]
    write_table(study.folder / "shots.csv", pd.DataFrame(table, columns=["scenario", "run", "image_id"]), "shots")
    if study.guided:
        _write_prompts(study)
    for name in study.training_sets:
        _write_added(study, name, draw)
    for number, cell in enumerate(study.cells()):
        _write_scores(study, cell, number)
    return study


def _write_manifest(study: Study, names: list[str]) -> None:
    rows = [
        {
            "image_id": name,
            "category": study.category,
            "split": name.split("/")[0],
            "label": int("crack" in name),
            "defect": name.split("/")[1],
            "image_path": f"{name}.png",
            "mask_path": "",
            "height": study.map_shape[0],
            "width": study.map_shape[1],
            "sha256": "0" * 64,
            "mask_sha256": "",
        }
        for name in names
    ]
    write_table(study.folder / "manifest.csv", pd.DataFrame(rows), "manifest")


def _write_prompts(study: Study) -> None:
    choice = {"word": "w", "prompt": '</script><script>alert("prompt")</script> ü', "similarity": 0.31}
    runs = [{"run": run, "best": choice, "worst": {**choice, "similarity": -0.1}} for run in range(study.runs)]
    content = {"encoder": "conse", "word_source": "wordnet_related", "class_name": "solar <cell>", "runs": runs}
    path = study.folder / "one_shot" / "prompts" / "conse.wordnet_related.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def _write_added(study: Study, training_set: str, draw) -> None:
    path = study.folder / "one_shot" / training_set / "added.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0 if training_set == "original" else study.runs * study.added_a_run
    guided = training_set.startswith("generated") and study.guided
    runs = np.arange(count) // max(1, study.added_a_run)
    parents = [study.shots[run % len(study.shots)] for run in runs]
    generator = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file["images"] = (
            np.stack([255 - draw(study, p) for p in parents]) if count else np.zeros((0, 8, 8, 3), np.uint8)
        )
        file["run"] = runs.astype(np.int64)
        file.create_dataset("parent", data=parents, dtype=h5py.string_dtype())
        prompts = ["a <b>photo</b> of a “tiny” Löt cell" if guided else ""] * count
        file.create_dataset("prompt", data=prompts, dtype=h5py.string_dtype())
        file["seed"] = np.full(count, 2**63 - 1, np.int64) - np.arange(count)
        similarity = generator.uniform(0.1, 0.4, count) if guided else np.full(count, np.nan)
        file["similarity"] = similarity.astype(np.float32)
        file["distance"] = generator.uniform(0, 0.2, count).astype(np.float32)
        file["accepted"] = similarity > 0.2 if guided else np.ones(count, bool)
        file.attrs["recipe"] = json.dumps({"method": "generate" if guided else training_set, "guidance": 1.0})
        if guided:
            kept = np.arange(0, count, 2)
            file["steps"] = np.stack([[file["images"][i]] * 3 for i in kept])
            file["steps_index"] = kept
            file["steps_iteration"] = np.array([0, 10, 20])


def _write_scores(study: Study, cell: Path, number: int) -> None:
    rows = [
        (run, name, int("crack" in name), 1.0 + index + 0.1 * number + 100 * run)
        for run in range(study.runs)
        for index, name in enumerate(study.test_names)
    ]
    write_table(cell / "scores.csv", pd.DataFrame(rows, columns=["run", "image_id", "label", "score"]), "scores")
    for index, name in enumerate(study.test_names):
        path = cell / "maps" / "run_0" / study.category / f"{name}.tiff"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.linspace(0, 1 + index, study.map_shape[0] * study.map_shape[1], dtype=np.float32)
        tifffile.imwrite(path, values.reshape(study.map_shape), compression="zlib")


def summary_frame(datasets: tuple[str, ...] = ("elpv",)) -> pd.DataFrame:
    """A summary of two categories and their average, in table order, gains that tell where they belong."""
    rows = []
    for dataset in datasets:
        for place, category in enumerate(("mono", "poly", "average")):
            for step, training_set in enumerate(("original", "duplicated", "generated", "generated_tuned")):
                for shift, (scenario, metric) in enumerate(
                    [("one_shot", "image_auroc"), ("few_shot", "image_auroc"), ("one_shot", "image_ap")]
                ):
                    gain = None if training_set == "original" else place + step / 10 - shift
                    rows.append(
                        {
                            "dataset": dataset,
                            "category": category,
                            "detector": "patchcore",
                            "scenario": scenario,
                            "training_set": training_set,
                            "metric": metric,
                            "mean": 80.0 + place + step,
                            "std": 1.0,
                            "runs": 5,
                            "gain": gain,
                            "gain_low": None if gain is None else gain - 1,
                            "gain_high": None if gain is None else gain + 2,
                            "published_mean": None,
                        }
                    )
    return pd.DataFrame(rows)
