"""Outlier exposure of one category: what each network is exposed to, and its scores of the real test images.

The networks: frozen, fine-tuned against a source of anomalies, and fine-tuned without any (controls). Support sets may
be extended by generated images, made from the support images themselves.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, read_normals
from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.seeding import numpy_generator, torch_generator
from variad.datasets.sampling import Support
from variad.generation.added import read_added
from variad.generation.settings import Request, requests
from variad.selection.exposure_network import SplitNetwork, embed, random_views, rotated
from variad.selection.exposure_training import (
    NEIGHBOURS,
    WITH_ANOMALIES,
    Examples,
    FineTuningSchedule,
    anomaly_targets,
    fine_tune,
    random_halves,
    support_distance,
)
from variad.selection.settings import FROZEN, NO_SOURCE, PLAIN
from variad.selection.synthetic import SourceFiles

_log = logging.getLogger("variad")


@dataclass(frozen=True)
class AnomalySet:
    """The anomalies of one source and run.

    Attributes:
        images: uint8 ``[N, S, S, 3]``.
        strengths: 0 to 1, ``[N]``.
        normals: support images that went through the source's generator, uint8 ``[M, S, S, 3]``; none for sources that
            change originals.
    """

    images: Images
    strengths: NDArray[np.float64]
    normals: Images


def read_anomaly_set(files: SourceFiles, run: int, support: Sequence[str]) -> AnomalySet:
    """The anomalies of a run, with the regenerated ones of its ``support`` images.

    Raises:
        UserError: the source has no anomalies of that run.
    """
    manifest = read_manifest(files.manifest)
    rows = manifest[manifest["run"] == run]
    if rows.empty:
        raise UserError(f"{files.manifest}: expected anomalies of run {run}, found none.")
    images = read_anomalies(files.images, rows)
    return AnomalySet(images, rows["strength"].to_numpy(np.float64), _regenerated(files.images, support, images))


def _regenerated(path: str | Path, support: Sequence[str], like: Images) -> Images:
    controls = read_normals(path)
    names = [] if controls is None else list(controls.image_ids)
    if controls is None or not set(names) & set(support):
        return np.empty((0, *like.shape[1:]), np.uint8)
    return controls.images[[names.index(name) for name in support if name in names]]


def support_requests(
    support: Mapping[int, Support], per_image: float, seed: int, key: tuple[str, str]
) -> list[Request]:
    """Which images to make: ``per_image`` of every bank and seed image of every run, none of validation images."""
    parents: Mapping[int, Sequence[str]] = {run: [*one.bank, *one.seeds] for run, one in support.items()}
    return requests(parents, per_image, seed, (*key, "exposure_support"))


def added_of_run(path: str | Path, run: int) -> Images:
    """The accepted images of one run, uint8 ``[N, S, S, 3]``."""
    added = read_added(path)
    return added.images[np.flatnonzero((added.run == run) & added.accepted)]


def support_views(support: Images, count: int, seed: int, key: tuple[str, str, int]) -> Images:
    """``count`` light views of support images, ``[count, S, S, 3]``: what so many members do without a generator."""
    rounds = max(1, -(-count // len(support)))
    return random_views(support, rounds, numpy_generator(seed, *key, "exposure_support_views"))[:count]


class Variant(NamedTuple):
    """One network: the source that it was exposed to (``none``) and its objective (``frozen``, a control's name)."""

    source: str
    objective: str


@dataclass(frozen=True)
class ExposurePlan:
    """What to compare.

    Attributes:
        objectives: of each source.
        controls: objectives on normals alone.
        views: augmented views of every normal image to learn from.
        key: data set and category, which with ``seed`` decide every random number.
    """

    objectives: Mapping[str, Sequence[str]]
    controls: Sequence[str]
    schedule: FineTuningSchedule
    views: int
    seed: int
    key: tuple[str, str]
    neighbours: int = NEIGHBOURS


@dataclass(frozen=True)
class RunImages:
    """Images of one run, uint8 ``[N, S, S, 3]``; ``added``: extra support images by the name of the support set."""

    names: Sequence[str]
    support: Images
    added: Mapping[str, Images]


def score_run(
    network: SplitNetwork,
    run: int,
    images: RunImages,
    test: Tensor,
    sources: Mapping[str, SourceFiles],
    plan: ExposurePlan,
    device: str = "cpu",
) -> Iterator[tuple[Variant, str, NDArray[np.float32]]]:
    """(network, name of the support set, scores ``[N]``) of every network of one run.

    Added images join the support set that distances are measured to; no network is fine-tuned on them. Where a run has
    none, the support set stays the plain one.

    Args:
        test: activations of the N test images.
        sources: files of every source in ``plan.objectives``.
    """
    support = network.activations(images.support, device)
    added = {name: network.activations(extra, device) for name, extra in images.added.items()}
    for variant, tail in _networks(network, run, images, sources, plan, device):
        embeddings, known = embed(tail, test, device), embed(tail, support, device)
        supports = {PLAIN: known}
        for name, extra in added.items():
            supports[name] = torch.cat([known, embed(tail, extra, device)]) if len(extra) else known
        for name, bank in supports.items():
            yield variant, name, support_distance(embeddings, bank, plan.neighbours).float().cpu().numpy()


def score_rows(
    run: int, test_ids: Sequence[str], variant: Variant, support: str, scores: NDArray[np.float32]
) -> pd.DataFrame:
    """Rows of schema ``exposure_scores``."""
    return pd.DataFrame(
        {
            "run": run,
            "source": variant.source,
            "objective": variant.objective,
            "support": support,
            "image_id": list(test_ids),
            "score": scores,
        }
    )


def _networks(
    network: SplitNetwork,
    run: int,
    images: RunImages,
    sources: Mapping[str, SourceFiles],
    plan: ExposurePlan,
    device: str,
) -> Iterator[tuple[Variant, nn.Module]]:
    yield Variant(NO_SOURCE, FROZEN), network.tail.to(device)
    views = random_views(images.support, plan.views, numpy_generator(plan.seed, *plan.key, "exposure_views", run))
    normal = network.activations(views, device)
    for control in plan.controls:
        variant = Variant(NO_SOURCE, control)
        examples = _control_examples(control, network, views, normal, len(images.support), run, plan, device)
        yield variant, _tuned(network, variant, examples, run, plan, device)
    for source, objectives in plan.objectives.items():
        anomalies = read_anomaly_set(sources[source], run, images.names)
        draw = numpy_generator(plan.seed, *plan.key, "exposure_views", source, run)
        synthetic = network.activations(random_views(anomalies.images, 1, draw), device)
        normals = normal
        if len(anomalies.normals):
            # as the generator renders them, too: its traces must not tell an anomaly
            count = -(-len(normal) // len(anomalies.normals))
            rendered = random_views(anomalies.normals, count, draw)[: len(normal)]
            normals = torch.cat([normal, network.activations(rendered, device)])
        for objective in objectives:
            variant = Variant(source, objective)
            targets = anomaly_targets(objective, source, anomalies.strengths)
            examples = Examples((normals, synthetic), (torch.zeros(len(normals)), targets))
            yield variant, _tuned(network, variant, examples, run, plan, device)


def _control_examples(
    control: str,
    network: SplitNetwork,
    views: Images,
    normal: Tensor,
    support: int,
    run: int,
    plan: ExposurePlan,
    device: str,
) -> Examples:
    """``rotation``: by how many quarters a view is turned; ``relabelled``: half of the images pass for anomalies."""
    if control == "rotation":
        quarters = numpy_generator(plan.seed, *plan.key, "exposure_quarters", run).integers(0, 4, len(views))
        return Examples((network.activations(rotated(views, quarters), device),), (torch.from_numpy(quarters),))
    half = random_halves(support, numpy_generator(plan.seed, *plan.key, "exposure_halves", run))
    chosen = torch.from_numpy(np.tile(half, plan.views))
    targets = (torch.zeros(int((~chosen).sum())), torch.ones(int(chosen.sum())))
    return Examples((normal[~chosen], normal[chosen]), targets)


def _tuned(
    network: SplitNetwork, variant: Variant, examples: Examples, run: int, plan: ExposurePlan, device: str
) -> nn.Module:
    # the same head and batches for every source, so that only what is in the images differs
    exposed = variant.objective in WITH_ANOMALIES
    generator = torch_generator(plan.seed, *plan.key, "exposure", "exposed" if exposed else variant.objective, run)
    tail, losses = fine_tune(network.tail, network.width, variant.objective, examples, plan.schedule, generator, device)
    _log.info("run %d, %s, %s: loss %.3f to %.3f", run, *variant, losses[0], losses[-1])
    return tail
