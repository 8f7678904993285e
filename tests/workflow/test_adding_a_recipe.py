"""The worked examples of docs/adding_a_recipe.md, run as they stand there."""

import pytest
import torch
import yaml

from variad.core.tables import read_table
from variad.generation import strategies
from variad.generation.added import read_added

from .documents import blocks
from .running import TINY, planned, succeed
from .test_dag import in_place

SETS = ["original", "noisy", "far"]


@pytest.fixture
def study(tmp_path):
    """The tiny study with the document's recipes, on one category."""
    in_place(tmp_path)
    config = yaml.safe_load(TINY.read_text()) | yaml.safe_load(blocks("adding_a_recipe", "yaml")[0])
    del config["datasets"]["textures"]
    config["predict"] = {"scenario": "one_shot", "training_set": "noisy", "detector": "patchcore"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


@pytest.mark.slow
def test_recipes_of_a_users_own(study, tmp_path):
    targets = [f"results/tables/{name}.csv" for name in ("summary", "contrasts")]
    succeed(tmp_path, "--cores", "1", *targets, config=study)
    table = read_table(tmp_path / targets[0], "summary").query("metric == 'image_auroc'")
    assert list(table["training_set"]) == SETS
    contrasts = read_table(tmp_path / targets[1], "contrasts").query("metric == 'image_auroc'")
    means = table.set_index("training_set")["mean"]
    assert contrasts["difference"].iloc[0] == pytest.approx(means["far"] - means["noisy"], abs=1e-3)
    for name in ("noisy", "far"):
        added = read_added(tmp_path / f"results/elpv/mono/one_shot/{name}/added.h5")
        assert list(added.run) == [0, 0, 1, 1] and (added.distance > 0).all()

    study.write_text(study.read_text().replace("noise_scale: 2.0", "noise_scale: 3.0"))
    jobs = planned(tmp_path, targets[0], config=study)
    assert jobs["build_training_set"] == jobs["score_test_set"] == 1


def test_a_strategy_of_a_users_own():
    names = {"geometric": strategies.geometric}
    exec(blocks("adding_a_recipe", "python")[0], names)
    images = torch.full((2, 3, 8, 8), 0.9)
    shaded = names["shade"](images, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    torch.testing.assert_close(shaded[..., 0], images[..., 0])  # the bright side
    assert ((shaded[..., -1] < 0.9) & (shaded[..., -1] >= 0.6 - 1e-6)).all()
    assert (shaded.diff(dim=-1) < 0).all()
    alone = names["shade"](images[1:], [torch.Generator().manual_seed(2)])
    assert torch.equal(alone[0], shaded[1])
    assert torch.equal(shaded[:, 0], shaded[:, 1])  # grey stays grey
