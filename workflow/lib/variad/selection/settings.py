"""The config's sections on selection: what holds for a data set, and whether every name refers to something."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from variad.detectors import check_extractor
from variad.errors import UserError
from variad.selection.methods import kind_of
from variad.selection.template_sets import find_templates

Config = dict[str, Any]
# names of rows that no anomaly source may have
RESERVED = ("random", "largest_backbone", "default", "reconstruction")


def selection_of(config: Config, dataset: str) -> Config:
    """The section ``selection`` with the keys that differ for a data set in their place."""
    section = config["selection"]
    plain = {key: value for key, value in section.items() if key != "overrides"}
    return {**plain, **section["overrides"].get(dataset, {})}


def selection_categories(config: Config) -> list[tuple[str, str]]:
    """(data set, category) of everything that selection covers.

    Raises:
        UserError: as ``check_selection``.
    """
    check_selection(config)
    return [
        (dataset, category)
        for dataset, categories in config["selection"]["datasets"].items()
        for category in categories or config["datasets"][dataset]["categories"]
    ]


def check_selection(config: Config) -> None:
    """Check every name that the sections on selection use, and whether seeds suffice for what is made of them.

    Raises:
        UserError: a data set, category, source, candidate, detector, encoder, diffusion model or template set is
            unknown, or a source is to make more than it can.
    """
    section = config["selection"]
    _known("selection.overrides", section["overrides"], section["datasets"])
    for dataset, categories in section["datasets"].items():
        _known("selection.datasets", [dataset], config["datasets"])
        _known(f"selection.datasets.{dataset}", categories or [], config["datasets"][dataset]["categories"])
        chosen = selection_of(config, dataset)
        where = f"selection.overrides.{dataset}" if dataset in section["overrides"] else "selection"
        _known(f"{where}.sources", chosen["sources"], config.get("anomaly_sources", {}))
        if not chosen["sources"]:
            raise UserError(f"config key {where}.sources: expected at least one source, found none.")
        for name in chosen["sources"]:
            _check_source(config, name, chosen["seeds"])
        for key, kind in (("candidates", "detector"), ("templates", "prompt")):
            _known(f"{where}.{key}", chosen[key], config["candidates"])
            for name in chosen[key]:
                _check_candidates(config, name, f"{where}.{key}", kind)
        default = chosen["default"]
        if default is not None:
            _known(f"{where}.default", [default.partition("/")[0]], chosen["candidates"])
            _check_default(config, f"{where}.default", default)


def _check_source(config: Config, name: str, seeds: int) -> None:
    entry, key = config["anomaly_sources"][name], f"anomaly_sources.{name}"
    method, count = entry["method"], entry["count"]
    if method in ("style_mix", "text_edit"):
        _known(f"{key}.diffusion_model", [entry["diffusion_model"]], config["diffusion_models"])
    if method == "text_edit":
        _known(f"{key}.encoder", [entry["encoder"]], config["encoders"])
    if method == "blurred" and entry["resolution"] >= config["image_size"]:
        raise UserError(
            f"config key {key}.resolution: expected less than image_size, {config['image_size']} pixels, "
            f"found {entry['resolution']}."
        )
    texts = min(entry["texts_per_run"], len(entry["texts"]))
    most = {
        "style_mix": (seeds // 2) * (seeds - seeds // 2),
        "text_edit": seeds * texts * len(entry["strengths"]),
        "blurred": seeds,
    }
    if count > most.get(method, count):
        raise UserError(
            f"config key {key}.count: expected at most {most[method]}, as many as {method} makes of {seeds} seeds, "
            f"found {count}."
        )


def _check_default(config: Config, key: str, default: str) -> None:
    name, _, candidate = default.partition("/")
    entry = config["candidates"][name]
    if entry["method"] == "detectors":
        known = list(entry["detectors"])
    else:
        parts = product(entry["layers"], entry["resolutions"], entry["scores"])
        known = [f"{layer}/{side}/{score}" for layer, side, score in parts]
    if candidate not in known:
        some = ", ".join(f"{name}/{one}" for one in known[:4]) + ", ..." * (len(known) > 4)
        raise UserError(f"config key {key}: expected one of {some}, found '{default}'.")


def _check_candidates(config: Config, name: str, where: str, kind: str) -> None:
    entry: Mapping[str, Any] = config["candidates"][name]
    method = entry["method"]
    if kind_of(method) != kind:
        expected = "method templates" if kind == "prompt" else "methods neighbours or detectors"
        raise UserError(f"config key {where}: expected candidate sets of {expected}, found '{name}' of '{method}'.")
    if method == "detectors":
        _known(f"candidates.{name}.detectors", entry["detectors"], config["detectors"])
        for detector in entry["detectors"]:
            extractor = config["detectors"][detector]["extractor"]
            _known(f"detectors.{detector}.extractor", [extractor], config["extractors"])
            check_extractor(config, detector)
    if method == "templates":
        _known(f"candidates.{name}.encoder", [entry["encoder"]], config["encoders"])
        try:
            find_templates(entry["templates"])
        except UserError as error:
            raise UserError(f"config key candidates.{name}.{error}") from error


def _known(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"config key {key}: expected one of {', '.join(known) or 'none'}, found '{name}'.")
