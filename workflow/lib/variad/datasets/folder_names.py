"""What names in a user's own folder say, however people spell them: good or a defect, an image or a mask.

Names are compared in Unicode's form NFC: file systems and archives write one and the same "ü" in two ways. Whatever a
name could mean in two ways is asked about, for a wrong label is seen by nobody.
"""

import os
import re
import unicodedata
from pathlib import Path
from typing import Literal

_FAULTS = (
    *("anomalies", "anomalous", "anomaly", "damage", "damaged", "damages", "defect", "defective", "defects", "error"),
    *("errors", "fault", "faults", "faulty", "flaw", "flawed", "flaws"),
)
# compared as ``folded``
GOOD = frozenset(
    {
        *("good", "goods", "ok", "oks", "okay", "okey", "normal", "normals", "nominal", "pass", "passed", "passes"),
        *(
            "accept",
            "acceptable",
            "accepted",
            "conform",
            "conforming",
            "conformant",
            "correct",
            "faultless",
            "flawless",
        ),
        *("healthy", "inlier", "inliers", "intact", "perfect", "unbroken", "undamaged", "goodparts", "okparts"),
        *(f"{no}{fault}" for no in ("no", "non", "not", "without", "freeof") for fault in _FAULTS),
        *(f"{fault}{free}" for free in ("free", "less", "none") for fault in _FAULTS),
        *("io", "gut", "gutteil", "gutteile", "inordnung", "fehlerfrei", "bon", "bons", "bonne", "bonnes", "conforme"),
        *("conformes", "bueno", "buenos", "buono", "buoni", "bom", "норма", "годен", "годные", "бездефектов"),
        *("良品", "合格", "合格品", "正常", "正常品", "良", "可", "ok品"),
        *("无缺陷", "無欠陥", "欠陥なし", "異常なし"),
        *("양품", "정상", "합격", "무결점"),
    }
)
BAD = frozenset(
    {
        *_FAULTS,
        *("ng", "nok", "ko", "nio", "nogo", "bad", "broken", "fail", "failed", "fails", "failure", "scrap", "outlier"),
        *("reject", "rejected", "rejects", "abnormal", "abnormality", "abnormalities", "unacceptable", "incorrect"),
        *("ausschuss", "defekt", "schlecht", "брак"),
        *("不良", "不良品", "不合格", "不可", "ng品", "异常", "異常", "불량"),
    }
)
# say nothing of what the images show, alone or with numbers
_EITHER = frozenset(
    {
        *("all", "any", "category", "class", "clean", "cls", "data", "dataset", "default", "false", "folder", "frames"),
        *(
            "golden",
            "group",
            "image",
            "images",
            "img",
            "imgs",
            "label",
            "misc",
            "mix",
            "mixed",
            "na",
            "neg",
            "negative",
        ),
        *("call", "calls", "falsecall", "falsecalls", "overkill", "pseudo", "ref", "refs", "neuer", "ordner"),
        *("negatives", "neutral", "new", "nan", "no", "none", "null", "other", "others", "photos", "pictures", "pos"),
        *("positive", "positives", "reference", "regular", "review", "sample", "samples", "set", "standard", "tbd"),
        *("temp", "test", "tmp", "todo", "train", "true", "type", "unclear", "unknown", "unlabeled", "unlabelled"),
        *("unsorted", "unsure", "untitled", "val", "valid", "validation", "various", "yes"),
        *("f", "g", "n", "o", "p", "t"),
    }
)
_NO = frozenset(
    {"no", "not", "without", "free", "nicht", "ohne", "kein", "keine", "sans", "sin", "sem", "senza", "без", "не"}
)
_IN_GOOD_ONES = ("good", "normal", "nominal", "okay")  # within a longer word: "goodimages"

_PARTS = {"train": "train", "test": "test", "unlabelled": "unlabelled", "unlabeled": "unlabelled"}
_TRUTH = frozenset({"groundtruth", "groundtruths", "gt", "gts", "mask", "masks", "truth", "gtmask", "gtmasks"})
NOT_GOOD_FILE = "not_good.txt"  # beside `unlabelled`, names photographs in it that a person objects to
# what systems leave in people's folders, beside what begins with a dot
CLUTTER = frozenset({"@eadir", "__macosx", "$recycle.bin", "#recycle", "#snapshot", "lost+found"})

_LABEL = "labels?"
_MASK = r"(?:ground[ _-]?truth|masks?|gts?|seg(?:m|mentation)?s?|annotations?)"
_SURE = re.compile(rf".+[ ._-]{_MASK}", re.IGNORECASE)
_SURE_OR_LABEL = re.compile(rf".+[ ._-](?:{_MASK}|{_LABEL})", re.IGNORECASE)
_NUMBER = r"(?:[ ._-]*\(?\d+\)?)?"
_AFTER = re.compile(rf"(.+?)(?:[ ._-]+|(?<=\d))(?:{_MASK}|{_LABEL}){_NUMBER}", re.IGNORECASE)
_WHOLE = re.compile(r"(.+)\.(?:png|jpe?g|bmp|tiff?|webp)", re.IGNORECASE)
_BEFORE = re.compile(rf"(?:{_MASK}|{_LABEL})[ ._-]+(.+)", re.IGNORECASE)
_DRAWN = re.compile(r"(.+)[ ._-](?:overlay|heat[ _-]?map|thumb(?:nail)?|preview|vi[sz]|annotated|blend)", re.IGNORECASE)

Meaning = Literal["good", "defect", "either"]


def nfc(name: str) -> str:
    """A name in the one form that names are compared in."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def caseless(name: str) -> str:
    """A name as those compare it who know no upper and lower case."""
    return nfc(nfc(name).casefold())


def folded(name: str) -> str:
    """The letters and digits of a name: ``defect-free``, ``Defect Free`` and ``DEFECT_FREE`` are one."""
    return re.sub(r"[\W_]+", "", caseless(name))


def meaning(folder: str) -> Meaning:
    """What the name of a folder of images says of them. A name that nobody knows is that of a defect."""
    word, words = folded(folder), _words(folder)
    if word in GOOD:
        return "good"
    if word in BAD:
        return "defect"
    says_nothing = all(part.isdecimal() or part in _EITHER for part in words)
    return "either" if says_nothing or not _NO.isdisjoint(words) or _has_good(folder) else "defect"


def contradicts(folder: str, good: bool) -> bool:
    """Whether the name of a folder inside one of good images, or of a defect, says the other thing."""
    word, words = folded(folder), _words(folder)
    if not good:
        return word in GOOD or _has_good(folder)
    bad = word in BAD or not BAD.isdisjoint(words) or (_has_good(folder) and not _NO.isdisjoint(words))
    return bad and word not in GOOD


def _words(name: str) -> list[str]:
    parted = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=OK)(?=[a-z])", " ", nfc(name))
    return [caseless(word) for word in re.findall(r"[^\W\d_]+|\d+", parted)]


def _has_good(name: str) -> bool:
    word = folded(name)
    if word in BAD:
        return False
    return not GOOD.isdisjoint(_words(name)) or word.startswith("ok") or any(part in word for part in _IN_GOOD_ONES)


def is_truth(folder: str) -> bool:
    """Whether a folder's name says that masks are in it."""
    return folded(folder) in _TRUTH


def is_mask(stem: str, of_defects: bool) -> bool:
    """Whether a file's name says that it is a mask, whatever lies beside it.

    Args:
        of_defects: in a folder of a defect; elsewhere ``wine_label`` may well be a photograph of a label.
    """
    return (_SURE_OR_LABEL if of_defects else _SURE).fullmatch(stem) is not None


def masked_stems(stem: str, among_masks: bool = False) -> list[str]:
    """The stems of images that a file may be a mask of by its name, the likeliest first; not its own stem.

    Some tools write the image's whole name, ``x.jpg_mask``; or ``x.jpg.png``, which counts ``among_masks`` alone.
    """
    found: list[str] = []
    rest = stem
    while match := _AFTER.fullmatch(rest) or (_WHOLE.fullmatch(rest) if found or among_masks else None):
        rest = match[1]
        found.append(rest)
    before = _BEFORE.fullmatch(stem)
    return [*found, before[1]] if before else found


def drawn_from(stem: str) -> str:
    """The stem of the image that a file was made from by its name, as ``x_overlay`` and ``x_thumb`` are; or nothing."""
    match = _DRAWN.fullmatch(stem)
    return match[1] if match else ""


def category_home(root: Path, category: str) -> Path | None:
    """A category's folder: one of ``root``, or ``root`` itself where it is so called and holds ``train``.

    A link is found under its own name and under that of the folder it leads to.
    """
    if (root / category).is_dir():
        return root / category
    for name in _folders(root):
        if nfc(name) == nfc(category):
            return root / name
    return root if parts_of(root)["train"] and nfc(category) in own_names(root) else None


def own_names(root: Path) -> list[str]:
    """What a folder is called: as it was given, then what a link leads to."""
    # ``absolute`` keeps the dots of "photos/.." and the name of a link, ``resolve`` neither
    return list(dict.fromkeys(nfc(path.name) for path in (root.absolute(), root.resolve()) if path.name != ".."))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or leads to one. A link round in circles, or to where one may not look, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def parts_of(home: Path) -> dict[str, list[Path]]:
    """A category's folders by what they hold: ``train``, ``test``, ``truth``, ``unlabelled``, and ``unused``."""
    found: dict[str, list[Path]] = {"train": [], "test": [], "truth": [], "unlabelled": [], "unused": []}
    for name in _folders(home, hidden=True):
        part = "truth" if is_truth(name) else _PARTS.get(folded(name), "unused")
        found["unused" if name.startswith(".") else part].append(home / name)
    return found


def _folders(folder: Path, hidden: bool = False) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if (hidden or entry.name[0] != ".") and is_folder(entry))
