"""A category end to end on small images: which networks, which normals, and what stays the same."""

import numpy as np
import pytest
import torch

from variad.anomalies.anomaly_file import Anomaly, NamedImages, write_anomalies
from variad.selection.exposure import ExposurePlan, RunImages, Variant, read_anomaly_set, score_rows, score_run
from variad.selection.exposure_network import (
    Examples,
    FineTuningSchedule,
    SplitNetwork,
    embed,
    fine_tune,
    support_distance,
)
from variad.selection.synthetic import SourceFiles

SIDE = 16
GENERATOR = np.random.default_rng(0)
NAMES = [f"train/good/{index}" for index in range(6)]


class Mean(torch.nn.Module):
    """Mean and a learned mix of the pixels of every quarter: small, but it can be fine-tuned."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(48, 8)
        torch.nn.init.eye_(self.mix.weight)
        torch.nn.init.zeros_(self.mix.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 4)
        return self.mix(small.flatten(1))


def images(count: int, level: int) -> np.ndarray:
    return np.clip(GENERATOR.normal(level, 20, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SourceFiles]:
    folder = tmp_path_factory.mktemp("anomalies")
    made = {}
    for name, strengths in (("plain", [1.0] * 4), ("graded", [0.25, 0.5, 0.75, 1.0])):
        anomalies = [
            Anomaly(image, NAMES[0], strength=strength)
            for image, strength in zip(images(4, 200), strengths, strict=True)
        ]
        normals = NamedImages(["train/good/9", *NAMES[:2]], images(3, 60)) if name == "graded" else None
        paths = folder / f"{name}.h5", folder / f"{name}.csv"
        write_anomalies(*paths, name, {0: anomalies}, normals)
        made[name] = SourceFiles(name, *paths)
    return made


def test_regenerated_normals_are_those_of_the_support(sources: dict[str, SourceFiles]) -> None:
    found = read_anomaly_set(sources["graded"], 0, NAMES)
    assert len(found.normals) == 2 and found.strengths.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert len(read_anomaly_set(sources["plain"], 0, NAMES).normals) == 0


def test_every_network_scores_with_every_support_set(sources: dict[str, SourceFiles]) -> None:
    network = SplitNetwork(None, Mean(), 8)
    objectives = {"plain": ["classification"], "graded": ["classification", "regression"]}
    plan = ExposurePlan(objectives, ["rotation", "relabelled"], FineTuningSchedule(3, 4, 1e-2), 2, 0, ("elpv", "mono"))
    support, tested, extra = images(6, 60), images(5, 100), images(3, 90)
    run = RunImages(NAMES, support, {"with generated": extra})
    test = network.activations(tested)
    found = {(variant, name): scores for variant, name, scores in score_run(network, 0, run, test, sources, plan)}
    again = {(variant, name): scores for variant, name, scores in score_run(network, 0, run, test, sources, plan)}
    variants = {("none", "frozen"), ("none", "rotation"), ("none", "relabelled")} | {
        (source, objective) for source, names in objectives.items() for objective in names
    }
    assert set(found) == {(Variant(*v), s) for v in variants for s in ("support", "with generated")}
    assert all((again[key] == scores).all() for key, scores in found.items())
    # the frozen network is the pretrained one: plain features
    plain = support_distance(embed(network.tail, test), embed(network.tail, torch.from_numpy(support)))
    np.testing.assert_array_equal(found[Variant("none", "frozen"), "support"], plain.numpy())
    for variant, name in found:
        if name != "support":
            assert (found[variant, name] <= found[variant, "support"] + 1e-5).all()
        if variant.objective != "frozen":
            assert (found[variant, name] != found[Variant("none", "frozen"), name]).any()
    rows = score_rows(0, list("abcde"), Variant("plain", "classification"), "support", np.arange(5, dtype=np.float32))
    assert rows["image_id"].tolist() == list("abcde") and set(rows["source"]) == {"plain"}


def test_a_run_without_added_images_is_scored_with_the_plain_support_set() -> None:
    plan = ExposurePlan({}, [], FineTuningSchedule(1, 4, 1e-2), 1, 0, ("elpv", "mono"))
    network, support = SplitNetwork(None, Mean(), 8), images(6, 60)
    run = RunImages(NAMES, support, {"with generated": support[:0]})
    test = network.activations(images(5, 100))
    (_, plain, expected), (_, name, found) = score_run(network, 0, run, test, {}, plan)
    assert (plain, name) == ("support", "with generated") and (found == expected).all()


def test_fine_tuning_lowers_the_loss_and_leaves_the_pretrained_network_alone() -> None:
    tail = SplitNetwork(None, Mean(), 8).tail
    before = [value.clone() for value in tail.parameters()]
    normal, synthetic = torch.from_numpy(images(8, 60)), torch.from_numpy(images(8, 200))
    examples = Examples((normal, synthetic), (torch.zeros(8), torch.ones(8)))
    draw = torch.Generator().manual_seed(0)
    tuned, losses = fine_tune(tail, 8, "classification", examples, FineTuningSchedule(60, 8, 1e-1), draw)
    assert losses[0] == pytest.approx(np.log(2), abs=0.01) and losses[-1] < 0.1
    assert all((one == other).all() for one, other in zip(before, tail.parameters(), strict=True))
    assert not any(value.requires_grad for value in tuned.parameters())
