"""Archives for the tests: good ones in every format, and ones that nobody should unpack."""

import io
import tarfile
import zipfile
from pathlib import Path

TREE = {
    "bottle/train/good/000.png": b"first" * 1000,
    "bottle/train/good/001.png": b"",
    "bottle/ground_truth/broken/000_mask.png": bytes(range(256)) * 300,
    "readme.txt": b"read",
    "ünïcode 名.txt": b"named",
}
SUFFIXES = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}


def file_info(name: str, size: int = 0, **fields) -> tarfile.TarInfo:
    """A tar header with ``fields`` set."""
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in fields.items():
        setattr(info, key, value)
    return info


GOOD = (file_info("good.txt", 4), b"good")


def make_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w", **settings) -> Path:
    """A tar archive of headers and contents, as they are given."""
    with tarfile.open(path, mode, **settings) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def make_tree(path: Path, folder_mode: int = 0o555, file_mode: int = 0o444) -> Path:
    """``TREE`` in the format that the suffix of ``path`` asks for, read-only as some publishers pack theirs."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in TREE.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (0o100000 | file_mode) << 16
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)
        return path
    folders = [
        (file_info(name, type=tarfile.DIRTYPE, mode=folder_mode), b"")
        for name in (".", "bottle", "bottle/train", "bottle/train/good/")
    ]
    files = [(file_info(f"./{name}", len(content), mode=file_mode), content) for name, content in TREE.items()]
    return make_tar(path, *folders, *files, mode=SUFFIXES["".join(path.suffixes)])


def make_zip(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    """A zip archive of names or headers and contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


def unix_info(name: str, mode: int) -> zipfile.ZipInfo:
    """A zip header with a Unix mode, type of file included."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def old_sparse_header(name: str, real_size: int) -> bytes:
    """A member in GNU's old sparse format that is nothing but a hole of ``real_size`` bytes."""
    block = bytearray(file_info(name, 0, type=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    block[386:398] = b"%011o\0" % real_size  # one piece at the very end ...
    block[398:410] = b"%011o\0" % 0  # ... of no bytes
    block[483:495] = b"\x80" + real_size.to_bytes(11, "big")  # the real size, in base 256
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
