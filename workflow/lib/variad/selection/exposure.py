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
from variad.selection.exposure_network import (
    NEIGHBOURS,
    WITH_ANOMALIES,
    Examples,
    FineTuningSchedule,
    SplitNetwork,
    anomaly_targets,
    embed,
    fine_tune,
    random_halves,
    random_views,
    rotated,
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
    images, controls = read_anomalies(files.images, rows), read_normals(files.images)
    normals = images[:0]
    if controls is not None:
        names = list(controls.image_ids)
        normals = controls.images[[names.index(name) for name in support if name in names]]
    return AnomalySet(images, rows["strength"].to_numpy(np.float64), normals)


def support_requests(
    support: Mapping[int, Support], per_image: float, seed: int, key: tuple[str, str]
) -> list[Request]:
    """Which images to make: ``per_image`` of every bank and seed image of every run, none of validation images."""
    parents: Mapping[int, Sequence[str]] = {run: [*one.bank, *one.seeds] for run, one in support.items()}
    return requests(parents, per_image, seed, (*key, "exposure_support"))


def added_of_run(path: str | Path, run: int) -> Images:
    """The accepted images of one run, uint8 ``[N, S, S, 3]``."""
    added = read_added(path)
    return added.pictures(np.flatnonzero((added.run == run) & added.accepted))


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
    for variant, tail in _FineTuning(network, run, images, plan, device).networks(sources):
        embeddings, known = embed(tail, test, device), embed(tail, support, device)
        supports = {PLAIN: known}
        for name, extra in added.items():
            supports[name] = torch.cat([known, embed(tail, extra, device)]) if len(extra) else known
        for name, bank in supports.items():
            yield variant, name, support_distance(embeddings, bank, plan.neighbours).float().cpu().numpy()


@dataclass(frozen=True)
class _FineTuning:
    """Every network of one run, on the same views of its support images."""

    network: SplitNetwork
    run: int
    images: RunImages
    plan: ExposurePlan
    device: str

    def networks(self, sources: Mapping[str, SourceFiles]) -> Iterator[tuple[Variant, nn.Module]]:
        yield Variant(NO_SOURCE, FROZEN), self.network.tail.to(self.device)
        views = random_views(self.images.support, self.plan.views, self._draw("exposure_views"))
        normal = self._activations(views)
        for control in self.plan.controls:
            yield self._tuned(Variant(NO_SOURCE, control), self._control_examples(control, views, normal))
        for source, objectives in self.plan.objectives.items():
            anomalies = read_anomaly_set(sources[source], self.run, self.images.names)
            draw = self._draw("exposure_views", source)
            synthetic = self._activations(random_views(anomalies.images, 1, draw))
            normals = normal
            if len(anomalies.normals):
                # as the generator renders them, too: its traces must not tell an anomaly
                count = -(-len(normal) // len(anomalies.normals))
                rendered = random_views(anomalies.normals, count, draw)[: len(normal)]
                normals = torch.cat([normal, self._activations(rendered)])
            for objective in objectives:
                targets = torch.zeros(len(normals)), anomaly_targets(objective, source, anomalies.strengths)
                yield self._tuned(Variant(source, objective), Examples((normals, synthetic), targets))

    def _control_examples(self, control: str, views: Images, normal: Tensor) -> Examples:
        """``rotation``: by how many quarters a view is turned; ``relabelled``: half of the images are anomalies."""
        if control == "rotation":
            quarters = self._draw("exposure_quarters").integers(0, 4, len(views))
            return Examples((self._activations(rotated(views, quarters)),), (torch.from_numpy(quarters),))
        half = random_halves(len(self.images.support), self._draw("exposure_halves"))
        chosen = torch.from_numpy(np.tile(half, self.plan.views))
        targets = (torch.zeros(int((~chosen).sum())), torch.ones(int(chosen.sum())))
        return Examples((normal[~chosen], normal[chosen]), targets)

    def _tuned(self, variant: Variant, examples: Examples) -> tuple[Variant, nn.Module]:
        plan, objective = self.plan, variant.objective
        # the same head and batches for every source, so that only what is in the images differs
        purpose = "exposed" if objective in WITH_ANOMALIES else objective
        draw = torch_generator(plan.seed, *plan.key, "exposure", purpose, self.run)
        tail, width = self.network.tail, self.network.width
        tail, losses = fine_tune(tail, width, objective, examples, plan.schedule, draw, self.device)
        _log.info("run %d, %s, %s: loss %.3f to %.3f", self.run, *variant, losses[0], losses[-1])
        return variant, tail

    def _activations(self, images: Images) -> Tensor:
        return self.network.activations(images, self.device)

    def _draw(self, *purpose: str) -> np.random.Generator:
        return numpy_generator(self.plan.seed, *self.plan.key, *purpose, self.run)


def score_rows(
    run: int, test_ids: Sequence[str], variant: Variant, support: str, scores: NDArray[np.float32]
) -> pd.DataFrame:
    """Rows of schema ``exposure_scores``."""
    place = {"run": run, **variant._asdict(), "support": support}
    return pd.DataFrame({**place, "image_id": list(test_ids), "score": scores})
