"""The peer of ``detectors.py``: anomalib's own models, data module and engine; run by a Python that holds anomalib.

Only what fits and scores is on: no metrics, pictures, thresholds, checkpoints, logs or progress bars (the engine's
``barebones``), and no validation but the one that EfficientAD takes its map normalisation from.
"""

import ctypes
import importlib
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from forked import Measurement, serve  # noqa: E402, scripts of this folder

OFF = {"post_processor": False, "evaluator": False, "visualizer": False}
MMAP_THRESHOLD = -3  # glibc's number of this setting (malloc.h)


def load() -> Measurement:
    importlib.import_module("anomalib.data")
    importlib.import_module("anomalib.engine")
    importlib.import_module("anomalib.models")

    return measure


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Fit and score; writes scores and maps of the test images, normal ones first, to ``request["output"]``."""
    import anomalib
    import numpy as np
    import torch
    from anomalib.engine import Engine
    from timing import Stopwatch, machine, warm_up

    warm_up(request["device"])
    torch.manual_seed(request["seed"])
    model, data = MODELS[request["method"]](request), _data(request)
    engine = Engine(
        default_root_dir=str(Path(request["output"]).with_suffix("")),
        accelerator="gpu" if request["device"].startswith("cuda") else "cpu",
        devices=1,
        barebones=True,
        max_epochs=request["epochs"],
        **_validation(request),
    )
    clock = Stopwatch(request["device"])
    engine.fit(model=model, datamodule=data)
    fitted = clock.lap("fit")
    batches = engine.predict(model=model, datamodule=data, return_predictions=True)
    scored = clock.lap("score")
    found = {
        "/".join(Path(path).parts[-2:]): (float(score), values.squeeze().float().cpu().numpy())
        for batch in batches or []
        for path, score, values in zip(batch.image_path, batch.pred_score, batch.anomaly_map, strict=True)
    }
    ordered = [found[name] for name in request["test_files"]]
    np.savez(
        request["output"], scores=[score for score, _ in ordered], maps=np.stack([values for _, values in ordered])
    )
    version = f"anomalib {anomalib.__version__}, torch {torch.__version__}"
    return {**fitted, **scored, "machine": machine(request["device"]), "version": version}


def _validation(request: dict[str, Any]) -> dict[str, Any]:
    if request["method"] == "efficientad":
        return {"check_val_every_n_epoch": request["epochs"]}
    return {"limit_val_batches": 0}


def _data(request: dict[str, Any]) -> Any:
    from anomalib.data import Folder

    held_out = request["method"] == "efficientad"
    return Folder(
        name="benchmark",
        root=request["folder"],
        normal_dir="train",
        normal_test_dir="test/good",
        abnormal_dir="test/defect",
        train_batch_size=request["batch"],
        eval_batch_size=_eval_batch(request),
        num_workers=0,
        val_split_mode="from_train" if held_out else "none",
        val_split_ratio=0.1,
        seed=request["seed"],
    )


def _eval_batch(request: dict[str, Any]) -> int:
    # CFlow's maps are scaled by the largest values of their batch: only within one can its scores be compared
    return len(request["test_files"]) if request["method"] == "cflow" else 32


def _pre_processor(request: dict[str, Any]) -> Any:
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    side = request["resolution"]
    return PreProcessor(Compose([Resize((side, side)), Normalize(request["mean"], request["std"])]))


def _backbone(request: dict[str, Any]) -> dict[str, Any]:
    return {"backbone": request["timm"], "layers": request["timm_layers"], "pre_trained": False}


def _load_weights(extractor: Any, path: str) -> None:
    from safetensors.torch import load_file

    found = extractor.feature_extractor.load_state_dict(load_file(path), strict=False)
    # the weights are of a classifier; its head is not part of a feature extractor, all else must be there
    if found.missing_keys:
        raise ValueError(f"{path}: expected all weights of {extractor.backbone}, found none of {found.missing_keys}")


def _patchcore(request: dict[str, Any]) -> Any:
    from anomalib.models import Patchcore

    _map_large_blocks()
    model = Patchcore(**_backbone(request), **request["peer"], pre_processor=_pre_processor(request), **OFF)
    _load_weights(model.model.feature_extractor, request["timm_weights"])
    return model


def _map_large_blocks() -> None:
    """Have glibc map every block of a megabyte and return it when freed, as it does of itself above 32 MB.

    On its heap the coreset's temporary arrays leave holes that the next ones do not fit in: more than 16 GB for 20
    images, and many times slower. Banks of a hundred images and more do not have that problem.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 2**20)


def _cflow(request: dict[str, Any]) -> Any:
    from anomalib.models import Cflow

    model = Cflow(**_backbone(request), **request["peer"], pre_processor=_pre_processor(request), **OFF)
    _load_weights(model.model.encoder, request["timm_weights"])
    return model


def _reverse_distillation(request: dict[str, Any]) -> Any:
    from anomalib.models import ReverseDistillation

    model = ReverseDistillation(**_backbone(request), **request["peer"], pre_processor=_pre_processor(request), **OFF)
    _load_weights(model.model.encoder, request["timm_weights"])
    return model


def _efficientad(request: dict[str, Any]) -> Any:
    from anomalib.models import EfficientAd
    from safetensors.torch import load_file

    side = request["resolution"]
    pre_processor = EfficientAd.configure_pre_processor((side, side))
    model = EfficientAd(imagenet_dir=request["penalty"], **request["peer"], pre_processor=pre_processor, **OFF)
    model.model.teacher.load_state_dict(load_file(request["timm_weights"]))
    model.prepare_pretrained_model = lambda: None  # would download other weights
    return model


MODELS = {
    "patchcore": _patchcore,
    "cflow": _cflow,
    "reverse_distillation": _reverse_distillation,
    "efficientad": _efficientad,
}

if __name__ == "__main__":
    serve(load)
