import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from variad.core.errors import UserError
from variad.core.images import is_16_bit, read_image, read_mask, read_size, read_square, resize_square, to_rgb8

GENERATOR = np.random.default_rng(0)


def png16(values: np.ndarray, colour_type: int, width: int) -> bytes:
    """A 16-bit PNG written by the book, since Pillow writes none in colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(len(values), -1))
    header = struct.pack(">IIBBBBB", width, len(values), 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_pngs_keep_every_bit(tmp_path, colour_type, channels):
    values = GENERATOR.integers(0, 65536, (5, 7, channels)).astype(np.uint16)
    path = tmp_path / "Prüfung 1.png"
    path.write_bytes(png16(values, colour_type, 7))
    colours = values[..., :3] if channels > 2 else values[..., 0]
    assert is_16_bit(path)
    assert read_size(path) == (5, 7)
    assert read_image(path).dtype == np.uint16
    np.testing.assert_array_equal(read_image(path), colours)


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiffs_keep_every_bit(tmp_path, channels, options):
    values = GENERATOR.integers(0, 65536, (40, 33, channels)).astype(np.uint16)
    path = tmp_path / "deep.tif"
    if channels == 1:
        tifffile.imwrite(path, values[..., 0], photometric="minisblack", **options)
    else:
        tifffile.imwrite(path, values, photometric="rgb", rowsperstrip=7, **options)
    assert is_16_bit(path)
    np.testing.assert_array_equal(read_image(path), values[..., :3] if channels > 1 else values[..., 0])


def test_alpha_is_dropped_and_the_colour_under_it_kept(tmp_path):
    rgba = np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8)
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.png", Image.fromarray(rgba))), rgba[..., :3])
    grey = Image.merge("LA", [Image.new("L", (2, 1), 77), Image.new("L", (2, 1), 0)])
    np.testing.assert_array_equal(read_image(saved(tmp_path, "la.png", grey)), [[77, 77]])


def test_palette_one_bit_and_cmyk_become_plain_colours(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 200, 100, 50])
    palette.putdata([0, 1])
    np.testing.assert_array_equal(read_image(saved(tmp_path, "p.png", palette)), [[[1, 2, 3], [200, 100, 50]]])
    np.testing.assert_array_equal(read_image(saved(tmp_path, "b.png", Image.new("1", (2, 1), 1))), [[255, 255]])
    cmyk = saved(tmp_path, "c.tif", Image.new("CMYK", (2, 1), (0, 255, 0, 0)))
    np.testing.assert_array_equal(read_image(cmyk), [[[255, 0, 255]] * 2])


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_exif_orientation_is_applied_to_size_and_pixels(tmp_path, name):
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255  # bright on the left; turned by 90 degrees clockwise it is bright on top
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"lossless": True} if name == "x.webp" else {}
    path = saved(tmp_path, name, Image.fromarray(stored), exif=exif, **options)
    assert read_size(path) == (16, 8)
    image = read_image(path)
    assert image.shape == (16, 8, 3)
    assert image[:7].min() > 200
    assert image[9:].max() < 55


def test_only_the_first_page_of_a_tiff_is_read(tmp_path):
    pages = [Image.new("L", (3, 2), value) for value in (5, 9)]
    path = saved(tmp_path, "pages.tiff", pages[0], save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(path), np.full((2, 3), 5))


def test_to_rgb8_scales_16_bits_linearly_and_clips():
    raw = np.array([[0, 1000, 2000, 3000, 65535]], np.uint16)
    expected = [0, 0, 128, 255, 255]  # (2000 - 1000) / 2000 * 255 = 127.5, rounded to even
    np.testing.assert_array_equal(to_rgb8(raw, 1000, 3000)[0, :, 0], expected)
    np.testing.assert_array_equal(to_rgb8(np.full((2, 2), 7, np.uint16), 7, 7), np.zeros((2, 2, 3)))


def test_to_rgb8_leaves_8_bits_alone():
    raw = np.array([[0, 200]], np.uint8)
    np.testing.assert_array_equal(to_rgb8(raw, 1000, 3000), [[[0, 0, 0], [200, 200, 200]]])


def test_resize_squashes_and_antialiases():
    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, ::2] = 255  # one pixel wide: without antialiasing they would alias to black or white
    small = resize_square(stripes, 32)
    assert small.shape == (32, 32, 3)
    assert np.abs(small[:, 2:-2].astype(int) - 127).max() <= 2
    same = np.zeros((32, 32, 3), np.uint8)
    assert resize_square(same, 32) is same


@pytest.mark.parametrize("size", [(70, 90), (12, 200), (64, 64)])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "x.png"), ("RGB", "x.png"), ("RGB", "x.jpg"), ("L", "x.jpg"), ("CMYK", "x.jpg"), ("LA", "x.png"),
        ("RGBA", "x.png"), ("P", "x.png"), ("1", "x.png"), ("RGB", "x.webp"), ("RGB", "x.tif"), ("L", "x.tif"),
        ("I;16", "x.png"), ("turned", "x.jpg"), ("palette of two", "x.tif"), ("transparent", "x.png"),
    ],
)  # fmt: skip
def test_a_square_is_read_as_by_steps(tmp_path, mode, name, size):
    """Whatever way is shorter for a file, the pixels are those of the long one."""
    noise = GENERATOR.integers(0, 256, (*size, 3), dtype=np.uint8)
    options = {}
    if mode == "I;16":
        picture = Image.fromarray(noise[..., 0].astype(np.uint16) * 200)
    elif mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture, options = Image.fromarray(noise), {"exif": exif}
    elif mode == "transparent":
        picture, options = Image.fromarray(noise), {"transparency": (1, 2, 3)}
    elif mode == "palette of two":
        picture = Image.fromarray(noise).quantize(2)
    else:
        picture = Image.fromarray(noise).convert(mode)
    path = saved(tmp_path, name, picture, **options)
    raw = read_image(path)
    for bounds in ({}, {"low": 100.0, "high": 40_000.0}):
        found = read_square(path, 64, **bounds)
        np.testing.assert_array_equal(found.image, resize_square(to_rgb8(raw, **bounds), 64))
        assert (found.height, found.width, found.bits) == (*raw.shape[:2], 8 * raw.itemsize)
        assert found.image.shape == (64, 64, 3)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.tif"])
def test_a_truncated_square_is_one_sentence(tmp_path, name):
    path = saved(tmp_path, name, Image.fromarray(GENERATOR.integers(0, 256, (90, 90, 3), dtype=np.uint8)))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match=f"{name}: expected a readable image, found"):
        read_square(path, 32)


@pytest.mark.parametrize("name", ["t.png", "t.jpg", "t.bmp", "t.tif", "t.webp"])
def test_truncated_files_open_but_do_not_decode(tmp_path, name):
    noise = Image.fromarray(GENERATOR.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    path = saved(tmp_path, name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"{path.name}: expected "):
        read_image(path)


def test_truncated_16_bit_colour_png(tmp_path):
    data = png16(GENERATOR.integers(0, 65536, (64, 64, 3)).astype(np.uint16), 2, 64)
    (tmp_path / "t.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"t\.png: expected a readable image"):
        read_image(tmp_path / "t.png")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "an empty file"), (b"not an image", "a damaged file or another format")],
)
def test_files_that_are_no_images(tmp_path, content, found):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.png: expected an image .*, found {found}\."):
        read_size(tmp_path / "x.png")


def test_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png: expected a readable image, found: No such file or directory\."):
        read_size(tmp_path / "gone.png")


def png_header(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (1, 1)).save(buffer, "png")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_decompression_bombs_are_refused(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(20000, 20000))
    with pytest.raises(UserError, match=r"bomb\.png: expected an image of at most 178,956,970 pixels"):
        read_size(tmp_path / "bomb.png")


def test_large_images_below_the_limit_give_no_warning(tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(12000, 10000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_size(tmp_path / "large.png") == (10000, 12000)


def test_images_without_pixels_are_refused(tmp_path):
    (tmp_path / "zero.png").write_bytes(png_header(0, 5))
    with pytest.raises(UserError, match=r"zero\.png: expected an image"):
        read_image(tmp_path / "zero.png")


def test_masks_of_a_folder_are_joined(tmp_path):
    first, second = np.zeros((2, 4, 5), np.uint8)
    first[1, 2], second[1, 2:4] = 255, 3
    Image.fromarray(first).save(tmp_path / "000.png")
    Image.fromarray(second).save(tmp_path / "001.bmp")
    (tmp_path / "notes.txt").write_text("no mask")
    (tmp_path / ".000.png").write_bytes(b"hidden")
    np.testing.assert_array_equal(read_mask(tmp_path), np.where(first | second, 255, 0))
    np.testing.assert_array_equal(read_mask(tmp_path / "000.png"), first)


def test_masks_of_a_folder_that_cannot_be_joined(tmp_path):
    with pytest.raises(UserError, match=r"expected masks \(.*\), found none"):
        read_mask(tmp_path)
    for name, size in (("0.png", (4, 5)), ("1.png", (5, 4))):
        Image.new("L", size).save(tmp_path / name)
    with pytest.raises(UserError, match=r"1\.png: expected .* others .*, 5 x 4 px \(height x width\), found 4 x 5\."):
        read_mask(tmp_path)
