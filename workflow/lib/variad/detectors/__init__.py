"""The detectors, registered here and nowhere else: a method's name, and where its class is."""

import importlib
from typing import Any

from variad.errors import UserError

METHODS = {"patchcore": "variad.detectors.patchcore:PatchCore"}


def detector_class(method: str) -> Any:
    """The class of a method; imported only when it is asked for.

    Raises:
        UserError: no method has that name.
    """
    if method not in METHODS:
        raise UserError(f"detector: expected a method among {', '.join(METHODS)}, found {method!r}.")
    module, name = METHODS[method].split(":")
    return getattr(importlib.import_module(module), name)


def create_detector(method: str, settings: dict[str, Any], device: str = "cpu") -> Any:
    """A detector that is not fitted yet.

    Raises:
        UserError: no method has that name, or it has no such setting.
    """
    chosen = detector_class(method)
    try:
        return chosen(**settings, device=device)
    except TypeError as error:
        raise UserError(f"detector {method}: expected settings that it knows, found {settings} ({error}).") from error
