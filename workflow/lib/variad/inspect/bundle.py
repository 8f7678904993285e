"""One file that holds a fitted detector with everything that it needs to score a photograph; no code, no pickle.

It is a safetensors file. Its metadata has one entry, ``variad``: JSON, whose first keys are ``format``, ``version`` and
``sha256``, the hash of the whole file with its own digits as zeros. So no byte of it, of a tensor or of the
description, can change unseen. ``docs/data_contracts.md`` lists the rest.
"""

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save_file

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.image_formats import MAX_PIXELS
from variad.core.images import Images, Square, Tiles, read_image, read_square, to_rgb8
from variad.detectors.interface import METHODS, Extractor, check_bundled, is_count, is_number
from variad.inspect.answers import HeldOutScores

if TYPE_CHECKING:
    from variad.networks.backbones import Backbone

FORMAT, VERSION = "variad-bundle", 1
ENTRY = "variad"  # of the metadata
LONGEST_START = 200  # bytes, in which a bundle says that it is one
NO_DIGEST = "0" * 64
LONGEST_HEADER = 100_000_000  # bytes; what safetensors allows
MOST_SHOTS = 64  # of which pictures are kept
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PixelRule:
    """How a photograph becomes what the detector saw, 8-bit RGB of one size, as ``datasets.manifest`` packs it.

    Attributes:
        image_size: side of the square, pixels.
        low, high: the values of 16-bit photographs that become 0 and 255; None where the training images had 8 bits,
            then their whole range does.
    """

    image_size: int
    low: float | None = None
    high: float | None = None

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """A photograph of any format in 8 bits, as the images are that the detector learned from: RGB ``[H, W, 3]``.

        Raises:
            UserError: as ``read_image``.
        """
        return to_rgb8(read_image(path), **self._bounds)

    def read_square(self, path: str | Path) -> Square:
        """The same at ``image_size``.

        Raises:
            UserError: as ``read_image``.
        """
        return read_square(path, self.image_size, **self._bounds)

    @property
    def _bounds(self) -> dict[str, float]:
        return {} if self.low is None or self.high is None else {"low": self.low, "high": self.high}

    @property
    def bits(self) -> int:
        """Of a training photograph's values, 8 or 16."""
        return 8 if self.low is None else 16


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of its detector, beside the tensors.

    Attributes:
        product: ``{dataset}/{category}``; class_name: what it is called.
        method, settings: of the detector, as in a config.
        extractor: of its features; ``weights`` is None, as they are in the file.
        stored_as: ``float32`` or ``float16``, what features are rounded to.
        pixels: how a photograph becomes an image.
        held_out: scores that thresholds are made from.
        quantiles: of good photographs' scores: above which to look at a photograph, and above which it is bad.
        provenance: what it was made from and by: names of the cell, hashes, seed, versions; JSON.
        licences: sentences about weights and data.
    """

    product: str
    class_name: str
    method: str
    settings: dict[str, Any]
    extractor: Extractor
    stored_as: str
    pixels: PixelRule
    held_out: HeldOutScores
    quantiles: tuple[float, float]
    provenance: dict[str, Any]
    licences: list[str]


@dataclass(frozen=True)
class OpenBundle:
    """A bundle that was read and whose hash is right.

    Attributes:
        detector, metadata: tensors and metadata of the file that the detector's ``save`` wrote.
        backbone: tensors of ``Backbone.tensors``.
        shots: small pictures of training photographs, uint8 RGB ``[K, s, s, 3]``, in the order of
            ``provenance["training_images"]``, whose first K they are.
        sha256: of the file, but for these digits: its name.
        size: bytes.
    """

    bundle: Bundle
    detector: Arrays
    metadata: dict[str, str]
    backbone: Arrays
    shots: Images
    sha256: str
    size: int


def write_bundle(path: str | Path, bundle: Bundle, model_file: str | Path, backbone: "Backbone", shots: Images) -> None:
    """Write a bundle.

    Args:
        model_file: what the detector's ``save`` wrote.
        backbone: of the extractor; its tensors become part of the file.
        shots: ``[K, s, s, 3]``, see ``OpenBundle``.

    Raises:
        UserError: a detector of a user's own, whose code would not be in the file.
    """
    check_bundled(bundle.method)
    with safe_open(model_file, "np") as file:
        tensors = {f"detector/{name}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    tensors |= {f"backbone/{name}": tensor.cpu().numpy() for name, tensor in backbone.tensors().items()}
    tensors |= {f"held_out/{name}": getattr(bundle.held_out, name) for name in ("score", "peak", "known_good")}
    tensors["shots"] = shots
    told = {field.name: getattr(bundle, field.name) for field in fields(bundle)}
    told |= {"extractor": asdict(bundle.extractor), "pixels": asdict(bundle.pixels), "detector": metadata}
    told["held_out"] = {"of_one_picture": bundle.held_out.of_one_picture}
    header = {"format": FORMAT, "version": VERSION, "sha256": NO_DIGEST, **told}
    with writing(path) as temporary:
        save_file(
            {name: np.asarray(values, order="C") for name, values in tensors.items()},
            temporary,
            {ENTRY: json.dumps(header)},
        )
        _sign(temporary)


def read_bundle(path: str | Path) -> OpenBundle:
    """Read a bundle and check every byte of it.

    Raises:
        UserError: no such file, no bundle, a bundle cut short or changed, or one of another version.
    """
    data = _bytes_of(path)
    told = _description(path, data)
    if _digest(data, told["sha256"]) != told["sha256"]:
        raise UserError(
            f"{path}: expected a bundle as it was written, found that its content changed since; copy it again."
        )
    try:
        tensors = load_safetensors(data)
        return _opened(told, tensors, len(data))
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: expected a bundle's description and tensors, found others: {error!r}.") from error


def _bytes_of(path: str | Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: expected a bundle that can be read, found: {error.strerror}.") from error
    if not data:
        raise UserError(f"{path}: expected a bundle, found an empty file.")
    return data


def _description(path: str | Path, data: bytes) -> dict[str, Any]:
    """The metadata's JSON, of a file that is as long as its header says and of this version."""
    header = _header(data)
    try:
        told: dict[str, Any] = json.loads(header["__metadata__"][ENTRY])
        known = told["format"] == FORMAT
    except (KeyError, TypeError, ValueError, RecursionError):
        known = False
    if not known:
        begun = FORMAT.encode() in data[:LONGEST_START]
        other = "a safetensors file of something else" if header else "a file of another kind"
        raise UserError(f"{path}: expected a bundle, found {'one that is cut short or damaged' if begun else other}.")
    version, digest = told.get("version"), told.get("sha256")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        advice = "use the version of Variad that made it, or a newer one" if newer else "make it anew from its study"
        raise UserError(f"{path}: expected a bundle of format {VERSION}, found format {version}; {advice}.")
    length = 8 + struct.unpack("<Q", data[:8])[0] + max(_ends(header), default=0)
    if len(data) != length:
        raise UserError(f"{path}: expected a bundle of {length:,} bytes, found {len(data):,}; copy it again.")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise UserError(f"{path}: expected a bundle with its sha256, found {digest!r}.")
    return told


def _header(data: bytes) -> dict[str, Any]:
    """The header of a safetensors file; empty for anything else."""
    if len(data) < 8:
        return {}
    length = struct.unpack("<Q", data[:8])[0]
    if length > min(LONGEST_HEADER, len(data) - 8):
        return {}
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):  # not UTF-8 is a ValueError too
        return {}
    return header if isinstance(header, dict) else {}


def _ends(header: Mapping[str, Any]) -> Iterator[int]:
    for name, entry in header.items():
        if name != "__metadata__" and isinstance(entry, dict):
            offsets = entry.get("data_offsets")
            if isinstance(offsets, list) and len(offsets) == 2 and isinstance(offsets[1], int):
                yield offsets[1]


def _opened(told: dict[str, Any], tensors: Arrays, size: int) -> OpenBundle:
    def of(part: str) -> Arrays:
        return {name.removeprefix(part): values for name, values in tensors.items() if name.startswith(part)}

    if told["method"] not in METHODS:
        raise ValueError(told["method"])
    seen = told["extractor"]
    tiles = Tiles(*seen["tiles"]) if seen.get("tiles") else None
    extractor = Extractor(**{**seen, "layers": tuple(seen["layers"]), "tiles": tiles})
    look, bad = told["quantiles"]
    bundle = Bundle(
        told["product"],
        told["class_name"],
        told["method"],
        told["settings"],
        extractor,
        told["stored_as"],
        PixelRule(**told["pixels"]),
        HeldOutScores(**of("held_out/"), of_one_picture=told["held_out"]["of_one_picture"]),
        (float(look), float(bad)),
        told["provenance"],
        told["licences"],
    )
    _check(bundle, tensors["shots"])
    metadata = {str(name): str(value) for name, value in told["detector"].items()}
    return OpenBundle(bundle, of("detector/"), metadata, of("backbone/"), tensors["shots"], told["sha256"], size)


def _check(bundle: Bundle, shots: Images) -> None:
    """Refuse what would fail, or give wrong answers, only when a photograph is scored.

    Raises:
        ValueError: it names what is wrong.
    """
    rule, seen, held_out, (look, bad) = bundle.pixels, bundle.extractor, bundle.held_out, bundle.quantiles
    bounds = [bound for bound in (rule.low, rule.high) if bound is not None]
    scores = held_out.score, held_out.peak
    holds = {
        "image_size": _is_side(rule.image_size),
        "low and high": len(bounds) in (0, 2) and all(map(_is_finite, bounds)) and bounds == sorted(bounds),
        "resolution": _is_side(seen.resolution),
        "crop": seen.crop is None or (_is_side(seen.crop) and seen.crop <= seen.resolution),
        "tiles": seen.tiles is None or (all(map(is_number, seen.tiles)) and 0 <= seen.tiles.overlap < seen.tiles.size),
        "backbone and layers": all(isinstance(name, str) for name in (seen.backbone, *seen.layers)),
        "stored_as": bundle.stored_as in ("float16", "float32"),
        "quantiles": 0 <= look <= bad <= 1,
        "held-out scores": all(
            values.dtype == np.float64 and values.ndim == 1 and np.isfinite(values).all() for values in scores
        )
        and held_out.known_good.dtype == np.bool_
        and held_out.score.shape == held_out.peak.shape == held_out.known_good.shape,
        "shots": shots.dtype == np.uint8 and shots.ndim == 4 and shots.shape[3] == 3 and 0 not in shots.shape[1:],
        "product and class_name": isinstance(bundle.product, str) and isinstance(bundle.class_name, str),
        "training_images": all(isinstance(one["image_id"], str) for one in bundle.provenance["training_images"]),
    }
    wrong = [name for name, right in holds.items() if not right]
    if wrong:
        raise ValueError(", ".join(wrong))


def _is_side(value: Any) -> bool:
    """Whether a value is the side of a square image that may be decoded, pixels."""
    return is_count(value) and value**2 <= MAX_PIXELS


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _digest(data: bytes, written: str = NO_DIGEST) -> str:
    """The hash of a bundle that has zeros where a hash is written."""
    place, whole = data.find(written.encode()), memoryview(data)  # no copy of what may be a gigabyte
    digest = hashlib.sha256(whole[:place])
    digest.update(NO_DIGEST.encode())
    digest.update(whole[place + len(NO_DIGEST) :])
    return digest.hexdigest()


def _sign(path: Path) -> None:
    """Put the hash of the whole file in the place of its zeros."""
    data = path.read_bytes()
    place = data.index(NO_DIGEST.encode())
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(_digest(data).encode())
