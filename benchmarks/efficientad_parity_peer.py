"""The peer of ``efficientad_parity.py``: anomalib's EfficientAD network, trained on given images from its own weights.

Only the network and its losses, with everything that is drawn at random given from outside: images, penalty images,
changes of colour. Dropout is off. Run by a Python that holds anomalib.
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel, EfficientAdModelSize
from safetensors.torch import load_file, save_file
from torchvision.transforms.functional import adjust_brightness, adjust_contrast, adjust_saturation

CHANGES = (adjust_brightness, adjust_contrast, adjust_saturation)
TRAINED = ("student", "ae")


def main(request: dict[str, Any]) -> None:
    """Write first and last weights, losses, and unpadded maps of the test images, to ``request["output"]``."""
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    model = _model(request["teacher"])
    given = np.load(request["data"])
    images, penalty = torch.from_numpy(given["images"]), torch.from_numpy(given["penalty"])
    _standardise(model, torch.from_numpy(given["train"]))
    _write_weights(model, f"{request['output']}.first.safetensors")
    optimiser = torch.optim.Adam([*model.student.parameters(), *model.ae.parameters()], lr=1e-4, weight_decay=1e-5)
    model.train()
    losses = []
    for image, other, kind, factor in zip(images, penalty, given["kinds"], given["factors"], strict=True):
        change = CHANGES[kind]
        model.choose_random_aug_image = lambda batch, change=change, factor=factor: change(batch, float(factor))
        loss = sum(model(image[None], other[None]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    _write_weights(model, f"{request['output']}.last.safetensors")
    maps = _maps(model.eval(), torch.from_numpy(np.concatenate([given["held"], given["test"]])))
    np.savez(f"{request['output']}.npz", losses=losses, maps=maps)


def _model(teacher: str) -> Any:
    model = EfficientAdModel(384, EfficientAdModelSize.S, padding=False, pad_maps=True)
    model.teacher.load_state_dict(load_file(teacher))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


@torch.no_grad()
def _standardise(model: Any, images: torch.Tensor) -> None:
    answers = torch.cat([model.teacher(image[None]) for image in images])
    mean, std = answers.mean(dim=(0, 2, 3)), answers.std(dim=(0, 2, 3), unbiased=False)
    model.mean_std.update({"mean": mean[None, :, None, None], "std": std[None, :, None, None]})


@torch.no_grad()
def _maps(model: Any, images: torch.Tensor) -> Any:
    found = []
    for image in images:
        described, distance = model.compute_student_teacher_distance(image[None])
        found.append(torch.cat(model.compute_maps(image[None], described, distance, normalize=False), dim=1)[0])
    return torch.stack(found, dim=1).numpy()


def _write_weights(model: Any, path: str) -> None:
    tensors = model.state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors if name.partition(".")[0] in TRAINED}, path)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
