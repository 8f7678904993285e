"""The published sizes through the same engine: random weights, because time and memory do not depend on them."""

import pytest

from tests.memory import measured
from tests.official import IMAGENET_F16, Reference, write_official

MAKE_ENCODER = """
import open_clip
from safetensors.torch import save_file

save_file(open_clip.create_model("ViT-B-16-quickgelu").state_dict(), sys.argv[1])
result = None
"""
GENERATE = """
import time
from pathlib import Path

import numpy as np
from variad.networks.encoders import load_encoder
from variad.generation.engine import generate
from variad.generation.guidance import Guide
from variad.generation.settings import GenerationSettings, Request
from variad.networks.vqgan import load_vqgan

folder, iterations, side = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
vqgan = load_vqgan(folder / "last.ckpt", config_path=folder / "model.yaml")
encoder = load_encoder("open_clip", model="ViT-B-16-quickgelu", weights=folder / "encoder.safetensors")
settings = GenerationSettings(
    view="none", form="mu_sigma_epsilon", sigma="codebook", noise_scale=1.0, iterations=iterations, learning_rate=0.05,
    anchor=1.0, guidance=1.0, cutouts=8, precision="float32", output="decoded", min_similarity_gain=None,
    max_distance=None, batch_size=1,
)
parents = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
begin = time.monotonic()
guide = Guide(encoder, encoder.encode_text(["a photograph of a brick"]))
made = generate(parents, [Request(0, "", 1)], settings, vqgan, guide)
result = {
    "seconds": time.monotonic() - begin,
    "shape": list(made.images.shape),
    "spread": float(made.images.std()),
    "loss": made.trace["loss"][0].tolist(),
}
"""


@pytest.mark.slow
def test_one_image_of_the_published_models_fits_in_memory(tmp_path):
    """Three iterations of the paper's twenty: memory is the same."""
    write_official(tmp_path, Reference(256, 16384, IMAGENET_F16), IMAGENET_F16)
    measured(MAKE_ENCODER, tmp_path / "encoder.safetensors")
    result, peak = measured(GENERATE, tmp_path, 3, 224)
    assert result["shape"] == [1, 224, 224, 3] and result["spread"] > 1
    assert len(result["loss"]) == 4 and result["loss"][-1] != result["loss"][0]
    assert peak < 8
