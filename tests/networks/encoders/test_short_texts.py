from types import SimpleNamespace

import pytest
import torch

from variad.networks.openclip import encode_short

open_clip_model = pytest.importorskip("open_clip.model")
pytestmark = pytest.mark.slow

CONTEXT = 16
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": CONTEXT, "vocab_size": 100, "width": 32, "heads": 2, "layers": 3}


def clip():
    torch.manual_seed(0)
    model = open_clip_model.CLIP(16, open_clip_model.CLIPVisionCfg(**VISION), open_clip_model.CLIPTextCfg(**TEXT))
    return model.eval().requires_grad_(False)


def tokens(*lengths):
    """Random ids, 99 at the end of each text, zeros behind it; zero is a word's id as well, as CLIP's '!' is."""
    ids = torch.zeros(len(lengths), CONTEXT, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, : length - 1] = torch.randint(0, 99, (length - 1,))
        ids[row, length - 1] = 99
    ids[0, 1] = 0
    return ids


@pytest.mark.parametrize("lengths", [(5, 3, 9), (2,), (CONTEXT, 4)])
def test_fewer_positions_give_the_same_embeddings(lengths):
    model, ids = clip(), tokens(*lengths)
    torch.testing.assert_close(encode_short(model, ids), model.encode_text(ids), atol=1e-5, rtol=0)
    # and the model is as it was
    assert model.positional_embedding.shape[0] == CONTEXT


def test_the_tower_sees_the_longest_text_and_no_more():
    model, seen = clip(), []
    model.transformer.register_forward_hook(lambda module, given, out: seen.append(given[0].shape[1]))
    encode_short(model, tokens(5, 3, 9))
    assert seen == [9]


def test_models_that_read_the_whole_context_see_it():
    seen = []
    model = SimpleNamespace(encode_text=lambda ids: seen.append(ids.shape) or ids.float())
    encode_short(model, tokens(4, 4))
    assert seen == [(2, CONTEXT)]
