"""Further members of the support set: whose children they are, and their control."""

import numpy as np

from variad.datasets.sampling import Support
from variad.generation.added import AddedImages, write_added
from variad.generation.settings import Request
from variad.selection.exposure import added_of_run, support_requests, support_views


def test_members_are_made_of_bank_and_seeds_never_of_validation_images() -> None:
    support = {0: Support(("a", "b"), ("c",), ("d", "e")), 1: Support(("e",), ("a",), ("b",))}
    wanted = support_requests(support, 2, 0, ("elpv", "mono"))
    assert [(one.run, one.parent) for one in wanted] == [
        *((0, name) for name in "abcabc"),
        *((1, name) for name in "eaea"),
    ]
    assert len({one.seed for one in wanted}) == 10


def test_only_accepted_images_of_the_run_are_members(tmp_path) -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    asked = [Request(run, "a", seed) for seed, run in enumerate((0, 1, 1))]
    added = AddedImages.of(images, asked, np.zeros(3))
    added.accepted[1] = False
    write_added(tmp_path / "added.h5", added, {})
    assert added_of_run(tmp_path / "added.h5", 1)[:, 0, 0, 0].tolist() == [2]


def test_views_are_as_many_as_asked_for() -> None:
    support = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    views = support_views(support, 5, 0, ("elpv", "mono", 1))
    assert views.shape == (5, 32, 32, 3)
    assert (views == support_views(support, 5, 0, ("elpv", "mono", 1))).all()
    assert (views != support_views(support, 5, 0, ("elpv", "mono", 2))).any()
    assert support_views(support, 0, 0, ("elpv", "mono", 1)).shape == (0, 32, 32, 3)
