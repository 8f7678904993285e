"""The peer's files for ``inspector.py``, made by a Python that holds anomalib: ``inspector_peer.py REQUEST.json``.

Its own model of the same architecture and backbone weights, exported by its own functions to torch and to ONNX.
PatchCore gets the very memory bank of our detector, so that scores can be compared; the others stay untrained, which
changes nothing of their time.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from anomalib_peer import MODELS  # noqa: E402, a script of this folder


def main() -> None:
    """Make ``weights/torch/model.pt`` and ``weights/onnx/model_{batch}.onnx`` in ``request["output"]``."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import numpy as np
    import torch

    torch.manual_seed(0)
    model = MODELS[request["method"]](request)
    if "bank" in request:
        model.model.memory_bank = torch.from_numpy(np.load(request["bank"]))
    model.eval()
    vars(model).pop("prepare_pretrained_model", None)  # of training; a function of ours, which its file cannot hold
    model.to_torch(request["output"])
    side = request["resolution"]
    # a file a batch: PatchCore's, asked for any batch, takes the exporter's two images alone
    for batch in request["batches"]:
        shapes = None if batch == 1 else ({0: batch},)
        name = f"model_{batch}"
        model.to_onnx(request["output"], name, (side, side), opset_version=18, dynamic_shapes=shapes)


if __name__ == "__main__":
    main()
