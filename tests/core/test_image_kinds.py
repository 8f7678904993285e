"""Every depth, layout and tag that an image file can have: the right values, or one sentence that refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from tests.core.test_images import png16
from variad.core.errors import UserError
from variad.core.images import is_16_bit, read_image, read_notes, read_size

GENERATOR = np.random.default_rng(1)
GREY = GENERATOR.integers(0, 256, (20, 13)).astype(np.uint8)
COLOUR = GENERATOR.integers(0, 256, (20, 13, 3)).astype(np.uint8)
ALPHA = GENERATOR.integers(0, 256, (20, 13, 1)).astype(np.uint8)
DEEP = GENERATOR.integers(0, 65536, (20, 13)).astype(np.uint16)
DEEP_COLOUR = GENERATOR.integers(0, 65536, (20, 13, 3)).astype(np.uint16)
DEEP_ALPHA = GENERATOR.integers(0, 65536, (20, 13, 1)).astype(np.uint16)
PALETTE = GENERATOR.integers(0, 256, (3, 256)).astype(np.uint16)
CMYK = np.concatenate([COLOUR, ALPHA], axis=2)

Writer = Callable[[Path], object]


def tiff(values: np.ndarray, photometric: str = "minisblack", **options: object) -> Writer:
    return lambda path: tifffile.imwrite(path, values, photometric=photometric, **options)


def pillow(image: Image.Image, **options: object) -> Writer:
    return lambda path: image.save(path, **options)


def twelve_bits(path: Path) -> None:
    """Two values in three bytes, which tifffile writes only with its codecs."""
    values = (DEEP >> 4).astype(np.uint32)[:, :12]
    high, low = values[:, ::2], values[:, 1::2]
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], axis=2).astype(np.uint8)
    tifffile.imwrite(path, packed.reshape(20, 18), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["BitsPerSample"].overwrite(12)
        file.pages.first.tags["ImageWidth"].overwrite(12)


def big_and_little(kind: str, values: np.ndarray, expected: np.ndarray, **options: object) -> list[tuple]:
    orders = [("little", {"byteorder": "<"}), ("big", {"byteorder": ">"}), ("deflated", {"compression": "zlib"})]
    return [
        (f"{kind}, {name}", tiff(values, **options, **order), expected.astype(values.dtype)) for name, order in orders
    ]


PLANES, PIXELS = {"planarconfig": "separate"}, {"planarconfig": "contig"}
READ = [
    *big_and_little("8 bits, black is zero", GREY, GREY),
    *big_and_little("8 bits, white is zero", 255 - GREY, GREY, photometric="miniswhite"),
    *big_and_little("16 bits, black is zero", DEEP, DEEP),
    *big_and_little("16 bits, white is zero", 65535 - DEEP, DEEP, photometric="miniswhite"),
    *big_and_little("10 in 16 bits", DEEP >> 6, DEEP >> 6),
    *big_and_little("RGB", COLOUR, COLOUR, photometric="rgb"),
    *big_and_little("16-bit RGB", DEEP_COLOUR, DEEP_COLOUR, photometric="rgb"),
    *big_and_little("RGB in planes", np.moveaxis(COLOUR, 2, 0), COLOUR, photometric="rgb", **PLANES),
    *big_and_little("16-bit RGB in planes", np.moveaxis(DEEP_COLOUR, 2, 0), DEEP_COLOUR, photometric="rgb", **PLANES),
    *big_and_little("16-bit RGB in tiles", DEEP_COLOUR, DEEP_COLOUR, photometric="rgb", tile=(16, 16)),
    *big_and_little("grey and alpha", np.dstack([GREY, ALPHA]), GREY, extrasamples=["unassalpha"], **PIXELS),
    *big_and_little("RGBA", np.dstack([COLOUR, ALPHA]), COLOUR, photometric="rgb", extrasamples=["unassalpha"]),
    *big_and_little(
        "16-bit RGBA", np.dstack([DEEP_COLOUR, DEEP_ALPHA]), DEEP_COLOUR, photometric="rgb", extrasamples=["unassalpha"]
    ),
    *big_and_little(
        "RGB and two more", np.dstack([CMYK, ALPHA]), COLOUR, photometric="rgb", extrasamples=["unspecified"] * 2
    ),
    *big_and_little("palette", GREY, PALETTE.T[GREY], photometric="palette", colormap=PALETTE * 257),
    (
        "16 bits, white is zero, LZW",
        pillow(Image.fromarray(65535 - DEEP), compression="tiff_lzw", tiffinfo={262: 0}),
        DEEP,
    ),
    ("LZW", pillow(Image.fromarray(DEEP), compression="tiff_lzw"), DEEP),
    ("1 bit", pillow(Image.fromarray(GREY > 127)), np.where(GREY > 127, 255, 0)),
    ("1 bit, white is zero", pillow(Image.fromarray(GREY > 127), tiffinfo={262: 0}), np.where(GREY > 127, 255, 0)),
    ("1 bit, fax", pillow(Image.fromarray(GREY > 127), compression="group4"), np.where(GREY > 127, 255, 0)),
    ("12 bits", twelve_bits, DEEP[:, :12] >> 4),
    ("RGB in a large TIFF", tiff(DEEP_COLOUR, "rgb", bigtiff=True, byteorder="<"), DEEP_COLOUR),
    ("first of three pages", tiff(np.stack([DEEP, DEEP // 2, DEEP // 3])), DEEP),
]


@pytest.mark.parametrize(("write", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_tiffs_are_read_as_a_viewer_shows_them(tmp_path, write, expected):
    path = tmp_path / "a.tif"
    write(path)
    image = read_image(path)
    np.testing.assert_array_equal(image, expected)
    assert is_16_bit(path) == (image.dtype == np.uint16) == (expected.dtype == np.uint16)
    assert read_size(path) == expected.shape[:2]


ORANGE = (200, 60, 20)
CLOSE = [  # by matrices and transforms that round; the whole image has one colour
    ("CMYK", "a.tif", tiff(np.full((9, 8, 4), (0, 127, 204, 51), np.uint8), "separated"), (204, 102, 41)),
    (
        "CMYK, LZW",
        "a.tif",
        pillow(Image.new("CMYK", (9, 8), (0, 127, 204, 51)), compression="tiff_lzw"),
        (204, 102, 41),
    ),
    ("YCbCr", "a.tif", pillow(Image.new("RGB", (9, 8), ORANGE).convert("YCbCr")), ORANGE),
    ("YCbCr, LZW", "a.tif", pillow(Image.new("RGB", (9, 8), ORANGE).convert("YCbCr"), compression="tiff_lzw"), ORANGE),
    ("YCbCr, JPEG", "a.tif", pillow(Image.new("RGB", (9, 8), ORANGE).convert("YCbCr"), compression="jpeg"), ORANGE),
    ("RGB, JPEG", "a.tif", pillow(Image.new("RGB", (9, 8), ORANGE), compression="jpeg"), ORANGE),
    ("CIELAB", "a.tif", tiff(np.full((9, 8, 3), (128, 0, 0), np.uint8), "cielab"), (119, 119, 119)),  # L* = 50
    ("grey", "a.jpg", pillow(Image.new("L", (9, 8), 77)), 77),
    ("CMYK, inverted as Adobe does", "a.jpg", pillow(Image.new("CMYK", (9, 8), (55, 195, 235, 0))), ORANGE),
    ("lossy", "a.webp", pillow(Image.new("RGB", (9, 8), ORANGE)), ORANGE),
    ("lossless", "a.webp", pillow(Image.new("RGB", (9, 8), ORANGE), lossless=True), ORANGE),
    ("half covered", "a.tif", tiff(np.full((9, 8, 4), (100, 30, 10, 128), np.uint8), "rgb", extrasamples=[1]), ORANGE),
    ("half covered grey", "a.tif", tiff(np.full((9, 8, 2), (40, 128), np.uint8), extrasamples=[1], **PIXELS), 80),
    ("1 bit", "a.bmp", pillow(Image.new("1", (9, 8), 1)), 255),
    ("palette", "a.bmp", pillow(Image.new("RGB", (9, 8), ORANGE).quantize(2)), ORANGE),
]


@pytest.mark.parametrize(("name", "write", "colour"), [case[1:] for case in CLOSE], ids=[case[0] for case in CLOSE])
def test_other_colours_become_rgb(tmp_path, name, write, colour):
    write(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.shape == ((8, 9) if image.shape[0] == 8 else (9, 8)) + ((3,) if isinstance(colour, tuple) else ())
    assert np.abs(image.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_eight(tmp_path, bits):
    values = np.arange(2**bits, dtype=np.uint8)
    packed = np.packbits(np.unpackbits(values[:, None], axis=1)[:, -bits:].ravel())[None]
    tifffile.imwrite(tmp_path / "a.tif", packed, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages.first.tags["BitsPerSample"].overwrite(bits)
        file.pages.first.tags["ImageWidth"].overwrite(2**bits)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), values[None] * (255 // (2**bits - 1)))


REFUSED = [
    *[
        (kind, tiff(GREY.astype(kind) // 2, metadata=None), f"expected uint8 or uint16, found {kind}; save it")
        for kind in ("int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float32", "float64")
    ],
    ("big uint32", tiff(GREY.astype(np.uint32), byteorder=">"), "expected uint8 or uint16, found uint32"),
    ("RGB of float32", tiff(COLOUR.astype(np.float32), "rgb"), r"of a common layout .*, found 3 x float32 \(RGB\)"),
    ("9 channels", tiff(np.dstack([COLOUR] * 3), **PIXELS), r"of a common layout .*, found 9 x uint8 \(MINISBLACK\)"),
    ("raw of a camera", tiff(DEEP, "cfa"), r"of a common layout .*, found 1 x uint16 \(CFA\)"),
    ("signed, white is zero", tiff(GREY.astype(np.int8), "miniswhite"), r"of a common layout .*, found 1 x int8 \("),
    ("16-bit CIELAB", tiff(DEEP_COLOUR, "cielab"), r"of a common layout .*, found 3 x uint16 \(CIELAB\)"),
    ("16-bit CMYK", tiff(np.dstack([DEEP_COLOUR, DEEP]), "separated"), "expected 16-bit grey, RGB or RGBA, found"),
    ("16-bit half covered", tiff(np.dstack([DEEP_COLOUR, DEEP]), "rgb", extrasamples=[1]), "expected 16-bit grey, RGB"),
    (
        "16-bit grey and alpha",
        tiff(np.dstack([DEEP, DEEP]), extrasamples=[2], **PIXELS),
        r"of a common layout .*, found 2 x uint16 \(MINISBLACK\)",
    ),
]


@pytest.mark.parametrize(("write", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_is_not_read_is_refused_by_what_it_is(tmp_path, write, message):
    write(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"a\.tif: .*{message}"):
        read_image(tmp_path / "a.tif")


STORED = {  # EXIF 2.32, section 4.6.4: of which side of the upright image the first row and column are
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}
BLOCKS = np.kron(np.array([[10, 240, 90], [160, 60, 200]]), np.ones((16, 16), int)).astype(np.uint8)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    "kind", ["a.jpg", "a.png", "16.png", "a.webp", "a.tif", "16.tif", "16 RGB.tif", "16 planes.tif"]
)
def test_exif_orientations(tmp_path, kind, orientation):
    upright = BLOCKS.astype(np.uint16) * 257 if kind.startswith("16") else BLOCKS
    upright = np.dstack([upright, upright // 2, upright // 3]) if "RGB" in kind or "planes" in kind else upright
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = tmp_path / kind
    if kind.endswith("tif"):
        stored = np.moveaxis(stored, 2, 0) if "planes" in kind else stored
        layout = {"planarconfig": "separate"} if "planes" in kind else {}
        tags = [(274, "H", 1, orientation, True)]
        photometric = "rgb" if stored.ndim == 3 else "minisblack"
        tifffile.imwrite(path, stored, photometric=photometric, extratags=tags, **layout)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if kind == "a.webp" else {"quality": 95}))
    image = read_image(path)
    image = image[..., 0] if kind == "a.webp" else image
    assert read_size(path) == (32, 48)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() <= (3 if kind == "a.jpg" else 0)
    assert any("EXIF orientation" in note for note in read_notes(path)) == (orientation > 1)


@pytest.mark.parametrize("value", [0, 9, 1000])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, value):
    exif = Image.Exif()
    exif[274] = value
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOUR)
    assert read_notes(tmp_path / "a.png") == []


def test_orientation_of_a_png_by_imagemagick(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    data = exif.tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n", zip=True)
    Image.fromarray(COLOUR).save(tmp_path / "a.png", pnginfo=text)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(COLOUR, -1))


def profile(description: str) -> bytes:
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    name = "sRGB built-in".encode("utf-16-be")
    assert made.count(name) == 1 and len(description) == 13
    return made.replace(name, description.encode("utf-16-be"))


RGBA = Image.fromarray(np.dstack([COLOUR, ALPHA]))
RGB = Image.fromarray(COLOUR)
FRAMES = {"save_all": True, "append_images": [RGB.rotate(180), RGB.rotate(90)]}
LINEAR = PngImagePlugin.PngInfo()
LINEAR.add(b"gAMA", (100000).to_bytes(4, "big"))
USUAL = PngImagePlugin.PngInfo()
USUAL.add(b"gAMA", (45455).to_bytes(4, "big"))
NOTES = [
    ("a.png", pillow(RGB), []),
    ("a.png", pillow(RGB, icc_profile=profile("sRGB built-in")), []),
    (
        "a.png",
        pillow(RGB, icc_profile=profile("Wide gamut X1")),
        ["carries a colour profile that is not applied (Wide gamut X1)"],
    ),
    (
        "a.jpg",
        pillow(RGB, icc_profile=profile("Wide gamut X1")),
        ["carries a colour profile that is not applied (Wide gamut X1)"],
    ),
    (
        "a.tif",
        pillow(RGB, icc_profile=profile("Wide gamut X1")),
        ["carries a colour profile that is not applied (Wide gamut X1)"],
    ),
    ("a.webp", pillow(RGB, icc_profile=b"no profile"), ["carries a colour profile that is not applied (damaged)"]),
    ("a.png", pillow(RGB, pnginfo=LINEAR), ["carries a gamma of 1 that is not applied"]),
    ("a.png", pillow(RGB, pnginfo=USUAL), []),
    ("a.png", pillow(RGBA), ["has transparency, which is dropped"]),
    ("a.png", pillow(RGB, transparency=(1, 2, 3)), ["has transparency, which is dropped"]),
    ("a.png", pillow(RGB.quantize(9), transparency=3), ["has transparency, which is dropped"]),
    (
        "a.png",
        lambda path: path.write_bytes(png16(np.dstack([DEEP, DEEP]), 4, 13)),
        ["has transparency, which is dropped"],
    ),
    ("a.webp", pillow(RGBA), ["has transparency, which is dropped"]),
    ("a.webp", pillow(RGB, **FRAMES), ["has 3 frames, the first is used"]),
    ("a.png", pillow(RGB, **FRAMES), ["has 3 frames, the first is used"]),
    ("a.jpg", pillow(RGB, format="MPO", **FRAMES), ["has 3 frames, the first is used"]),
    ("a.tif", tiff(np.stack([DEEP, DEEP])), ["has 2 pages, the first is used"]),
    (
        "a.tif",
        tiff(np.dstack([COLOUR, ALPHA]), "rgb", extrasamples=[0]),
        ["has 1 more than its colour channels, not used"],
    ),
    ("a.tif", tiff(np.dstack([GREY, GREY]), **PIXELS), ["has 1 more than its colour channels, not used"]),
    ("a.tif", tiff(CMYK, "separated"), ["is CMYK, turned to RGB without a colour profile"]),
    ("a.tif", tiff(DEEP), []),
]


@pytest.mark.parametrize(("name", "write", "notes"), NOTES)
def test_notes_say_what_is_left_out(tmp_path, name, write, notes):
    write(tmp_path / name)
    assert read_notes(tmp_path / name) == notes
    read_image(tmp_path / name)


def test_the_first_frame_is_read(tmp_path):
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True})):
        RGB.save(tmp_path / name, **FRAMES, **options)
        np.testing.assert_array_equal(read_image(tmp_path / name), COLOUR)


def test_a_transparent_pixel_keeps_its_colour(tmp_path):
    for alpha in (0, 128):
        image = np.dstack([COLOUR, np.full_like(ALPHA, alpha)])
        for name, options in (("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True, "exact": True})):
            Image.fromarray(image).save(tmp_path / name, **options)
            np.testing.assert_array_equal(read_image(tmp_path / name), COLOUR)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", range(0, len(READ), 4))
def test_damaged_tiffs_are_one_sentence(tmp_path, case):
    path = tmp_path / "a.tif"
    READ[case][1](path)
    data = path.read_bytes()
    for seed in range(30):
        generator = np.random.default_rng(seed)
        harmed = bytearray(data[: int(generator.integers(8, len(data)))] if seed % 2 else data)
        for place in generator.integers(4, min(300, len(harmed)), 3):
            harmed[place] = generator.integers(256)
        path.write_bytes(harmed)
        for read in (read_image, read_size, is_16_bit, read_notes):
            try:
                read(path)
            except UserError as error:
                assert str(error).startswith(f"{path}: expected ")
