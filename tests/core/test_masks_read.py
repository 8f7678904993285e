"""What label tools write, in every mode of an image file: the mask that was meant, or one sentence that asks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from tests.core.test_images import png16
from variad.core.errors import UserError
from variad.core.images import read_mask

SHAPE = (60, 80)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
DISC = (ROWS - 25) ** 2 + (COLUMNS - 30) ** 2 < 12**2
SQUARE = (abs(ROWS - 44) < 7) & (abs(COLUMNS - 60) < 9)
MARKED = DISC | SQUARE
GREY = np.where(MARKED, 255, 0).astype(np.uint8)
LABELS = np.where(DISC, 1, np.where(SQUARE, 2, 0)).astype(np.uint8)
SOFT = np.asarray(Image.fromarray(np.kron(GREY, np.ones((8, 8), np.uint8))).resize((84, 63), Image.Resampling.BOX))
BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)

Writer = Callable[[Path], object]


def pillow(image: Image.Image | np.ndarray, **options: object) -> Writer:
    return lambda path: (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)


def tiff(values: np.ndarray, **options: object) -> Writer:
    return lambda path: tifffile.imwrite(path, values, **{"photometric": "minisblack", **options})


def palette(numbers: np.ndarray, *colours: tuple[int, ...], last: tuple[int, ...] = BLACK, **options: object) -> Writer:
    image = Image.fromarray(numbers.astype(np.uint8))
    image = image.convert("P") if image.mode != "P" else image
    image = Image.frombytes("P", image.size, numbers.astype(np.uint8).tobytes())
    image.putpalette([*np.ravel(colours), *[0] * (3 * (255 - len(colours))), *last])
    return pillow(image, **options)


def coloured(numbers: np.ndarray, *colours: tuple[int, ...]) -> np.ndarray:
    return np.array(colours, np.uint8)[numbers]


ON = MARKED.astype(np.uint8)
OPACITY = GREY[..., None]
FULL = np.full((*SHAPE, 3), 255, np.uint8)
KEPT = {
    "1 bit": ("a.png", pillow(Image.fromarray(MARKED))),
    "1 bit, white is zero": ("a.tif", pillow(Image.fromarray(MARKED), tiffinfo={262: 0})),
    "1 bit, fax": ("a.tif", pillow(Image.fromarray(MARKED), compression="group4", tiffinfo={262: 0})),
    "1 bit BMP": ("a.bmp", pillow(Image.fromarray(MARKED))),
    "truth values": ("a.tif", tiff(MARKED)),
    "0 and 1": ("a.png", pillow(ON)),
    "0 and 255": ("a.png", pillow(GREY)),
    "white is zero": ("a.tif", tiff(255 - GREY, photometric="miniswhite")),
    "classes": ("a.png", pillow(LABELS)),
    "classes and 255 alone": ("a.png", pillow(np.where(MARKED, 255, 0).astype(np.uint8))),
    "grey levels of classes": ("a.png", pillow(LABELS * 127)),
    "opaque": ("a.png", pillow(np.dstack([GREY, np.full_like(GREY, 255)]))),
    "grey that shows": ("a.png", pillow(np.dstack([np.full_like(GREY, 255), GREY]))),
    "palette by numbers": ("a.png", palette(LABELS, (31, 119, 180), (255, 127, 14), (44, 160, 44))),
    "palette of black only": ("a.png", palette(LABELS, BLACK)),
    "palette of VOC": ("a.png", palette(LABELS, BLACK, (128, 0, 0), (0, 128, 0), last=(224, 224, 192))),
    "palette with black last": ("a.png", palette(1 - ON, WHITE, BLACK)),
    "palette, only one class": ("a.png", palette(ON * 2, BLACK, RED, (0, 0, 128))),
    "palette that shows": ("a.png", palette(ON, WHITE, WHITE, transparency=0)),
    "palette BMP": ("a.bmp", palette(LABELS, BLACK, RED, (0, 90, 0))),
    "palette TIFF": ("a.tif", palette(LABELS, BLACK, RED, (0, 90, 0))),
    "red": ("a.png", pillow(coloured(ON, BLACK, RED))),
    "classes in colours": ("a.png", pillow(coloured(LABELS, BLACK, (128, 0, 0), (128, 128, 0)))),
    "classes in dark colours": ("a.png", pillow(coloured(LABELS, BLACK, (0, 0, 1), (0, 1, 0)))),
    "opaque red": ("a.png", pillow(coloured(ON, (*BLACK, 255), (*RED, 255)))),
    "white that shows": ("a.png", pillow(np.dstack([FULL, OPACITY]))),
    "black that shows": ("a.png", pillow(np.dstack([0 * FULL, OPACITY]))),
    "black that shows over white": ("a.png", pillow(coloured(ON, (*WHITE, 0), (*BLACK, 255)))),
    "half opaque red": ("a.png", pillow(coloured(ON, (*WHITE, 0), (*RED, 128)))),
    "red that shows in WebP": ("a.webp", pillow(coloured(ON, (*BLACK, 0), (*RED, 255)), lossless=True)),
    "half covered TIFF": ("a.tif", tiff(coloured(ON, (*BLACK, 0), (*RED, 255)), photometric="rgb", extrasamples=[1])),
    "CMYK": ("a.tif", tiff(coloured(ON, (0, 0, 0, 255), (0, 255, 255, 0)), photometric="separated")),
    "YCbCr TIFF": ("a.tif", pillow(Image.fromarray(coloured(ON, BLACK, WHITE)).convert("YCbCr"))),
    "instances in 16 bits": ("a.png", pillow(LABELS.astype(np.uint16) * 300)),
    "instances below 256 in 16 bits": ("a.png", pillow(LABELS.astype(np.uint16))),
    "16-bit TIFF, white is zero": ("a.tif", tiff(np.uint16(65535) - LABELS, photometric="miniswhite")),
    "16-bit TIFF, white is zero, big": (
        "a.tif",
        tiff(np.uint16(65535) - LABELS, photometric="miniswhite", byteorder=">"),
    ),
    "16-bit RGB": ("a.tif", tiff(np.dstack([LABELS] * 3).astype(np.uint16), photometric="rgb")),
    "16-bit PNG that shows": (
        "a.png",
        lambda path: path.write_bytes(png16(np.dstack([FULL * 0, OPACITY]).astype(np.uint16) * 257, 6, SHAPE[1])),
    ),
    **{
        f"{kind} labels": ("a.tif", tiff(LABELS.astype(kind) * 50, metadata=None))
        for kind in ("int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float32", "float64")
    },
    "0 to 1": ("a.tif", tiff(ON.astype(np.float32))),
    "0 to 1 in 64 bits": ("a.tif", tiff(ON.astype(np.float64))),
    "JPEG": ("a.jpg", pillow(GREY, quality=75)),
    "coarse JPEG": ("a.jpg", pillow(GREY, quality=30)),
    "JPEG in RGB": ("a.jpg", pillow(coloured(ON, BLACK, WHITE), quality=75)),
    "JPEG in CMYK": ("a.jpg", pillow(Image.fromarray(coloured(ON, BLACK, WHITE)).convert("CMYK"), quality=90)),
    "JPEG in TIFF": ("a.tif", pillow(GREY, compression="jpeg")),
    "lossy WebP": ("a.webp", pillow(GREY, quality=75)),
    "lossy WebP that shows": ("a.webp", pillow(np.dstack([FULL, OPACITY]), quality=75)),
    "lossless WebP": ("a.webp", pillow(GREY, lossless=True)),
}


@pytest.mark.parametrize("kind", KEPT)
def test_a_mask_is_the_same_in_every_mode(tmp_path, kind):
    name, write = KEPT[kind]
    write(tmp_path / name)
    mask = read_mask(tmp_path / name)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / name, inverted=None), GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / name, inverted=True), 255 - GREY)


def drawn(draw: Callable[[ImageDraw.ImageDraw, int], object], scale: int) -> Image.Image:
    image = Image.new("L", (SHAPE[1] * scale, SHAPE[0] * scale))
    draw(ImageDraw.Draw(image), scale)
    return image


def ellipse(draw: ImageDraw.ImageDraw, scale: int) -> None:
    draw.ellipse([12.3 * scale, 8.6 * scale, 55.1 * scale, 40.2 * scale], fill=255)


def hair(draw: ImageDraw.ImageDraw, scale: int) -> None:
    draw.line([(5 * scale, 7 * scale), (41 * scale, 33 * scale), (70 * scale, 50 * scale)], fill=255, width=2 * scale)


def dot(draw: ImageDraw.ImageDraw, scale: int) -> None:
    draw.ellipse([30.4 * scale, 20.7 * scale, 33.9 * scale, 23.6 * scale], fill=255)


COVERED = {
    name: np.asarray(drawn(shape, 8).resize(SHAPE[::-1], Image.Resampling.BOX))
    for name, shape in [("ellipse", ellipse), ("hair", hair), ("dot", dot)]
}


@pytest.mark.parametrize("shape", COVERED)
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "LA", "opacity", "I;16", "F", "red", "RGB by palette"])
def test_soft_edges_are_marked_where_half_of_a_pixel_is_covered(tmp_path, shape, mode):
    covered = COVERED[shape]
    full = np.full_like(covered, 255)
    image = {
        "L": lambda: Image.fromarray(covered),
        "P": lambda: Image.fromarray(covered).convert("P"),
        "RGB": lambda: Image.fromarray(np.dstack([covered] * 3)),
        "LA": lambda: Image.fromarray(np.dstack([covered, full])),
        "opacity": lambda: Image.fromarray(np.dstack([full, full, full, covered])),
        "I;16": lambda: Image.fromarray(covered.astype(np.uint16) * 257),
        "F": lambda: Image.fromarray(covered.astype(np.float32) / 255),
        "red": lambda: Image.fromarray(np.dstack([covered, 0 * covered, 0 * covered])),
        "RGB by palette": lambda: Image.fromarray(np.dstack([covered, 0 * covered, 0 * covered])).quantize(256),
    }[mode]()
    path = tmp_path / ("a.tif" if mode == "F" else "a.png")
    image.save(path)
    np.testing.assert_array_equal(read_mask(path), np.where(covered > 127, 255, 0))


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize("filter_", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_masks_that_were_enlarged_or_blurred_keep_their_area(tmp_path, times, filter_):
    size = (SHAPE[1] * times, SHAPE[0] * times)
    Image.fromarray(GREY).resize(size, filter_).save(tmp_path / "a.png")
    assert np.count_nonzero(read_mask(tmp_path / "a.png")) == pytest.approx(MARKED.sum() * times**2, rel=0.02)
    Image.fromarray(np.rint(gaussian_filter(GREY * 1.0, times / 2)).astype(np.uint8)).save(tmp_path / "b.png")
    assert np.count_nonzero(read_mask(tmp_path / "b.png")) == pytest.approx(MARKED.sum(), rel=0.04)


@pytest.mark.parametrize("quality", [10, 30, 75, 95])
@pytest.mark.parametrize("shape", COVERED)
def test_halos_of_jpeg_are_no_part_of_a_mask(tmp_path, quality, shape):
    covered = COVERED[shape]
    Image.fromarray(covered).save(tmp_path / "a.jpg", quality=quality)
    marked = read_mask(tmp_path / "a.jpg") > 0
    far = gaussian_filter((covered > 0) * 1.0, 2, truncate=2) == 0
    assert not (marked & far).any()
    assert marked.sum() == pytest.approx((covered > 127).sum(), rel=0.12 if quality == 10 else 0.06, abs=2)


@pytest.mark.parametrize("quality", [30, 40, 50, 70, 75, 80, 90, 95, 98, 100])
def test_a_jpeg_that_was_saved_as_png_is_no_larger(tmp_path, quality):
    Image.fromarray(GREY).save(tmp_path / "a.jpg", quality=quality)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), read_mask(tmp_path / "a.jpg"))


def thin(numbers: np.ndarray, label: int) -> np.ndarray:
    numbers = numbers.copy()
    numbers[5, 3:70] = numbers[30:50, 5] = label
    numbers[2, 77] = label
    return numbers


RING = np.where(np.hypot(ROWS - 30, COLUMNS - 40) < 20, 128, 0) + np.where(
    np.hypot(ROWS - 30, COLUMNS - 40) < 17, 127, 0
)
TOUCHING = (1 + COLUMNS // 9 + ROWS // 8 * 9) * (np.hypot(ROWS - 30, COLUMNS - 40) < 25)
LABELLED = {
    "thin lines and single pixels": thin(LABELS * 100, 90),
    "thin lines of class 1 around class 2": np.where(SQUARE, 2, 0) + (gaussian_filter(SQUARE * 9, 1) > 0) * ~SQUARE,
    "a ring around a core": RING,
    "instances that touch": TOUCHING * 500,
    "instances of two pixels": (ROWS % 7 < 2) * (COLUMNS % 9 < 1) * (ROWS // 7 * 9 + COLUMNS // 9) * 16,
    "values of MVTec LOCO": np.where(DISC, 254, np.where(SQUARE, 249, 0)),
    "no background but one pixel": np.where((ROWS == 7) & (COLUMNS == 7), 0, 1 + COLUMNS // 20),
    "one row": np.repeat([0, 60, 0, 90, 120], 4)[None],
    "one pixel": np.array([[7]]),
    "nothing": np.zeros((4, 5)),
    "everything": np.full((4, 5), 9),
}


@pytest.mark.parametrize("kind", LABELLED)
def test_every_label_is_marked_however_thin(tmp_path, kind):
    numbers = LABELLED[kind]
    Image.fromarray(numbers.astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), np.where(numbers > 0, 255, 0))
    if numbers.max() < 256:
        Image.fromarray(numbers.astype(np.uint8)).save(tmp_path / "a.bmp")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.bmp"), np.where(numbers > 0, 255, 0))


BUMP = np.exp(-((ROWS - 30) ** 2 + (COLUMNS - 40) ** 2) / 2 / 12**2)
TWO_SOFT = np.maximum(COVERED["ellipse"] // 2, np.roll(COVERED["ellipse"], (15, 20), (0, 1)))
REFUSED = {
    "heat map": ("a.png", pillow(np.rint(255 * BUMP).astype(np.uint8)), "two values or of labels, .* gradient"),
    "heat map, 16 bits": ("a.png", pillow(np.rint(65535 * BUMP).astype(np.uint16)), "two values or of labels"),
    "heat map, 0 to 1": ("a.tif", tiff(BUMP), "two values or of labels, .* between 0 and 1 in a gradient"),
    "gradient": ("a.png", pillow((COLUMNS * 3).astype(np.uint8)), "found 78 values between 0 and 237 in a gradient"),
    "two levels with soft edges": ("a.png", pillow(TWO_SOFT), "two values or of labels"),
    "photograph": ("a.png", pillow(np.random.default_rng(0).normal(120, 9, (*SHAPE, 3)).astype(np.uint8)), "expected"),
    "labels in JPEG": ("a.jpg", pillow(LABELS * 127, quality=95), "lossy format, found labels or greys"),
    "classes in JPEG": ("a.jpg", pillow(LABELS, quality=95), "lossy format, found labels or greys"),
    "colours in JPEG": ("a.jpg", pillow(coloured(LABELS, BLACK, RED, (0, 100, 0))), "lossy format, found labels"),
    "labels in WebP": ("a.webp", pillow(LABELS * 127), "lossy format, found labels or greys"),
    "void of VOC": (
        "a.png",
        palette(np.where(MARKED, 255, 0) - LABELS * 1 * DISC * 254, BLACK, RED, last=(224, 224, 192)),
        r"VOC's void \(224, 224, 192\)",
    ),
    "void of VOC in RGB": ("a.png", pillow(coloured(LABELS, BLACK, RED, (224, 224, 192))), "VOC's void"),
    "255 to ignore": ("a.png", pillow(np.array([0, 3, 255], np.uint8)[LABELS]), "the labels 3 and 255, which many"),
    "red on white": ("a.png", pillow(coloured(ON, WHITE, RED)), r"expected black \(0\) where nothing is marked"),
    "colour map of matplotlib": (
        "a.png",
        pillow(coloured(ON, (68, 1, 84, 255), (253, 231, 37, 255))),
        "expected black",
    ),
    "labels from 1": ("a.png", pillow(LABELS + 1), r"expected black \(0\) where nothing is marked"),
    "red on white in JPEG": ("a.jpg", pillow(coloured(ON, WHITE, RED), quality=95), "expected black"),
    "black elsewhere in a palette": (
        "a.png",
        palette(LABELS, (9, 9, 99), BLACK, RED),
        "black as number 0 .*, found it as 1",
    ),
    "all transparent": ("a.png", pillow(coloured(ON, (*BLACK, 0), (*RED, 0))), "all fully transparent"),
    "negative": ("a.tif", tiff(LABELS.astype(np.int32) - 1), "values from 0 on"),
    "negative bytes": ("a.tif", tiff(LABELS.astype(np.int8) - 1), "values from 0 on"),
    "no number": ("a.tif", tiff(np.where(MARKED, np.nan, 0)), "values from 0 on"),
    "infinite": ("a.tif", tiff(np.where(MARKED, np.inf, 0)), "values from 0 on"),
    "two pages": ("a.tif", tiff(np.stack([GREY, GREY])), "a mask of one page, found 2"),
    "two frames": ("a.png", pillow(GREY, save_all=True, append_images=[Image.fromarray(GREY.T)]), "one page, found 2"),
    "three channels of floats": ("a.tif", tiff(np.dstack([BUMP] * 3), photometric="rgb"), "common layout"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_clear_is_asked(tmp_path, kind):
    name, write, message = REFUSED[kind]
    write(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: .*{message}") as raised:
        read_mask(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_black_defects_on_white_are_asked_about(tmp_path):
    for name, grey in (("a.png", 255 - GREY), ("a.jpg", 255 - GREY), ("b.png", 255 - COVERED["ellipse"])):
        Image.fromarray(grey).save(tmp_path / name)
        expected = np.where(grey > 127, 255, 0)
        np.testing.assert_array_equal(read_mask(tmp_path / name), expected)
        np.testing.assert_array_equal(read_mask(tmp_path / name, inverted=True), 255 - expected)
        with pytest.raises(UserError, match=rf"{name}: .* set masks_inverted of the data set to true if black is the"):
            read_mask(tmp_path / name, inverted=None)


FRAME = np.pad(np.zeros((40, 60), bool), ((10, 10), (10, 10)), constant_values=True)  # exactly half of 60 x 80 is 2400
ASKED = {  # at least half of the image, at least 0.9 of the 276 pixels of its border with corners twice + 4
    "half of the image and the whole border": (FRAME, True),
    "less than half of the image": (FRAME & ~((ROWS == 5) & (COLUMNS == 5)), False),
    "half of the image but not the border": (COLUMNS < 40, False),
    "a defect that leaves one side free": (ROWS > 20, False),
    "nothing": (ROWS < 0, False),
    "everything": (ROWS >= 0, True),
}


@pytest.mark.parametrize("kind", ASKED)
def test_only_masks_that_look_inverted_are_asked_about(tmp_path, kind):
    marked, asks = ASKED[kind]
    Image.fromarray(marked).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), np.where(marked, 255, 0))
    if asks:
        with pytest.raises(UserError, match="masks_inverted"):
            read_mask(tmp_path / "a.png", inverted=None)
    else:
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png", inverted=None), np.where(marked, 255, 0))


def test_inverted_masks_of_a_folder_are_turned_before_they_are_joined(tmp_path):
    for name, marked in (("0.png", DISC), ("1.png", SQUARE)):
        Image.fromarray(~marked).save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path, inverted=True), GREY)
    with pytest.raises(UserError, match=r"0\.png: .*masks_inverted"):
        read_mask(tmp_path, inverted=None)


def test_a_mask_is_turned_like_its_image(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(GREY)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), GREY)


def in_every_lossless_mode(numbers: np.ndarray) -> dict[str, Writer]:
    """Writers of a label map, ``[H, W]`` from 0 to 99."""
    colours = np.random.default_rng(3).integers(1, 224, (100, 3)).astype(np.uint8)
    colours[0] = 0
    on, small = np.where(numbers > 0, 255, 0).astype(np.uint8), numbers.astype(np.uint8)
    white = np.full((*numbers.shape, 3), 255, np.uint8)
    return {
        "1.png": pillow(Image.fromarray(numbers > 0)),
        "l.png": pillow(small * 2),
        "la.png": pillow(np.dstack([small, np.full_like(small, 255)])),
        "p.png": palette(numbers, *colours),
        "numbers.png": palette(numbers, *np.maximum(colours, 1)),
        "rgb.png": pillow(colours[numbers]),
        "rgb.bmp": pillow(colours[numbers]),
        "rgb.webp": pillow(colours[numbers], lossless=True),
        "rgba.png": pillow(np.dstack([white, on])),
        "rgba.webp": pillow(np.dstack([white, on]), lossless=True, exact=True),
        "i16.png": pillow(numbers.astype(np.uint16) * 600),
        "zero.tif": tiff(65535 - numbers.astype(np.uint16), photometric="miniswhite", metadata=None),
        "i.tif": tiff(numbers.astype(np.int32) * 70000, metadata=None),
        "i64.tif": tiff(numbers.astype(np.int64), metadata=None),
        "f.tif": tiff(numbers.astype(np.float32) / 99, metadata=None),
        "cmyk.tif": tiff(np.dstack([0 * white, 255 - on]), photometric="separated", metadata=None),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 99)),
    st.integers(3, 6),
)
def test_random_labels_are_the_same_in_every_lossless_mode(tmp_path, patches, scale):
    numbers = np.kron(patches, np.ones((scale, scale), np.int64))
    numbers[0, 0] = 0  # some background, without which coloured or numbered marks are asked about
    for name, write in in_every_lossless_mode(numbers).items():
        write(tmp_path / name)
        np.testing.assert_array_equal(read_mask(tmp_path / name), np.where(numbers > 0, 255, 0), err_msg=name)
