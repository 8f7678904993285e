"""A user's own folder: what becomes of every file, in folders written by hand and in drawn mixtures of oddities."""

import os
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets.odd_folders import ODD_FOLDERS, ORPHAN, OddFolder, build, write
from variad.core.errors import UserError
from variad.datasets.adapters import Entry, PassedOver, open_dataset, passed_over_of, watched
from variad.datasets.manifest import index_category
from variad.datasets.own_folder import Folder


def lid(root: Path, *names: str) -> Path:
    """A data set whose category ``lid`` holds these files."""
    for name in names:
        write(root / "lid" / name)
    return root


def files_below(home: Path) -> set[str]:
    """Every file, and every link to a folder; links are not followed."""
    found = set()
    for folder, folders, names in os.walk(home):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found |= {(Path(folder) / name).relative_to(home).as_posix() for name in (*names, *links)}
    return found


@pytest.mark.parametrize("case", ODD_FOLDERS, ids=lambda case: case.name)
def test_every_file_of_a_folder_written_by_hand(case: OddFolder, tmp_path):
    dataset = open_dataset("folder", build(case, tmp_path), **case.settings)
    entries = dataset.entries("lid")
    found = {
        entry.image_path.relative_to("lid").as_posix(): (
            *(entry.image_id, entry.defect),
            entry.mask_path.relative_to("lid").as_posix() if entry.mask_path else "",
        )
        for entry in entries
    }
    assert found == case.images
    assert list(found) == list(case.images)
    assert {entry.image_id: entry.label for entry in entries} == {
        name: {"": None, "good": 0}.get(defect, 1) for name, defect, _ in case.images.values()
    }
    passed = {one.path.relative_to("lid").as_posix(): one.reason for one in passed_over_of(dataset, "lid")}
    assert passed == case.passed
    masks = {mask for *_, mask in case.images.values() if mask}
    followed = {link for link in case.links if any(name.startswith(f"{link}/") for name in case.followed)}
    assert files_below(tmp_path / "lid") - followed == (set(found) | masks | set(passed)) - set(case.followed) | (
        set(case.followed) & set(case.links)
    )


def test_a_manifest_has_the_names_of_nested_folders(tmp_path):
    write(tmp_path / "lid/train/good/monday/020.png", 3)
    write(tmp_path / "lid/test/Good/1.png")
    manifest = index_category(Folder(tmp_path), "lid")
    assert list(manifest["image_id"]) == ["train/good/monday/020", "test/Good/1"]
    assert list(manifest["defect"]) == ["good", "good"]
    assert list(manifest["height"]) == [3, 1]


# what a person sees in one glance is asked about, and answered by a setting
@pytest.mark.parametrize(
    ("names", "unclear"),
    [
        (["test/good_2/1.png", "test/0/1.png"], "'0' in test, 'good_2' in test"),
        (["train/ok-night/1.png"], "'ok-night' in train"),
        (["test/front/good/1.png", "test/front/cut/1.png"], "'front/good' in test"),
        (["train/good/NG/1.png"], "'good/NG' in train"),
        (["test/ok/defects 2/1.png"], "'ok/defects 2' in test"),
    ],
)
def test_a_name_that_could_be_either_is_asked_about(names, unclear, tmp_path):
    lid(tmp_path, "train/good/1.png", *names)
    with pytest.raises(UserError) as caught:
        Folder(tmp_path).entries("lid")
    first = unclear.split("'")[1]
    assert str(caught.value) == (
        f"{tmp_path}/lid: expected folders whose names say whether their images are good, found {unclear}, which could "
        f'be either; say it in the data set\'s settings, as good: ["{first}"] or as defects: ["{first}"].'
    )
    asked = tuple(part.split("'")[1] for part in unclear.split(", "))
    assert {one.label for one in Folder(tmp_path, good=asked).entries("lid") if "cut" not in one.image_id} == {0}
    answered = Folder(tmp_path, defects=asked)
    labels = {entry.image_path.parent.relative_to("lid").as_posix(): entry.label for entry in answered.entries("lid")}
    assert {label for folder, label in labels.items() if folder.partition("/")[2] in asked} <= {1}


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            ["train/good/1.png", "train/good/1.JPG"],
            {},
            r"train/good: expected one image a stem, found 1\.JPG and 1\.png",
        ),
        (
            ["train/good/ü.png", "train/good/u\u0308.png"],
            {},
            r"expected one image a stem, found 'u\\u0308\.png' and '\\xfc\.png'",
        ),
        (
            ["train/good/1.png", "Train/good/1.png"],
            {},
            r"expected one image a stem, found lid/Train/good/1\.png and lid/train/good/1\.png",
        ),
        (
            ["train/good/1.png", "test/cut/1.png", "ground_truth/cut/1_mask.png", "test/cut/1_gt.png"],
            {},
            r"test/cut/1\.png: expected one mask of this image, found lid/test/cut/1_gt\.png and lid/ground_truth/cut",
        ),
        (
            ["train/good/1.png", "test/cut/1.png", "ground_truth/cut/1.png", "ground_truth/cut/1.bmp"],
            {},
            r"expected one mask of this image, found lid/ground_truth/cut/1\.bmp and lid/ground_truth/cut/1\.png",
        ),
        (
            ["train/good/a.png", "train/good/a/1.png"],
            {},
            r"train/good/a\.png: expected another name than that of a folder beside it, found folder a",
        ),
        (["train/good/1.png"], {"good": ("okk",)}, r"lid: expected folders below train or test .*, found 'okk'"),
        (["train/good/1.png"], {"good": "ok"}, r"settings\.good: expected a list of folders' names, found 'ok'"),
        (
            ["train/good/1.png"],
            {"defects": (1,)},
            r"settings\.defects: expected a list of folders' names, found \(1,\)",
        ),
        (["train/good/1.png"], {"good": ("a",), "defects": ("a",)}, r"expected 'a' in good or in defects, found it in"),
        (["train/good/1.png"], {"defects": ("good",)}, r"settings\.defects: expected no folder named good"),
        (
            ["train/x/1.png", "train/y/1.png"],
            {},
            r"train/good: .*, found no such folder; train holds the folders x, y \(settings\.good .*\)\.$",
        ),
        (
            ["train/1.png"],
            {},
            r"train/good: expected normal .*, found no such folder; train holds images themselves\.$",
        ),
        (["train/1.txt"], {}, r"train/good: .*, found no such folder; train holds nothing\.$"),
        (["good/1.png", "val/1.png"], {}, r"train/good: .*, found no such folder; lid holds the folders good, val\.$"),
        (["1.png"], {}, r"train/good: .*, found no such folder; lid holds no folder\.$"),
        (
            ["train/OK/1_mask.png", "train/OK/2.gif"],
            {},
            r"train/OK: .*, found none but lid/train/OK/2\.gif: no image \(.*\), and 1 more\.$",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(names, options, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        Folder(lid(tmp_path, *names), **options).entries("lid")
    assert "\n" not in str(caught.value)


def test_a_setting_may_name_a_folder_of_another_category(tmp_path):
    lid(tmp_path, "train/good/1.png")
    write(tmp_path / "nut/test/0/1.png")
    assert len(Folder(tmp_path, good=("0",)).entries("lid")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
@pytest.mark.parametrize("name", [b"a\nb", b"\xff"])
def test_names_that_no_table_can_hold(name, tmp_path):
    write(tmp_path / "lid/train/good/1.png")
    write(tmp_path / "lid/val" / os.fsdecode(name + b".txt"))
    write(tmp_path / "lid/train/good" / os.fsdecode(name + b".txt"))
    assert all(str(one).isprintable() for one in Folder(tmp_path).passed_over("lid"))
    write(tmp_path / "lid/train/good" / os.fsdecode(name) / "1.png")
    with pytest.raises(UserError, match="expected file names in UTF-8 without control characters"):
        Folder(tmp_path).entries("lid")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_access(tmp_path):
    lid(tmp_path, "train/good/1.png", "train/good/more/1.png", "val/1.png")
    (tmp_path / "lid/val").chmod(0)
    (one,) = Folder(tmp_path).passed_over("lid")
    assert one.reason.endswith("and cannot be read")
    (tmp_path / "lid/train/good/more").chmod(0)
    with pytest.raises(UserError, match="more: expected a folder that can be read, found: Permission denied"):
        Folder(tmp_path).entries("lid")
    (tmp_path / "lid").chmod(0)
    with pytest.raises(UserError, match="lid: expected a folder that can be read, found: Permission denied"):
        Folder(tmp_path).entries("lid")
    assert watched("folder", tmp_path, "lid", "train") == []


@pytest.mark.parametrize("category", ["001", "no", "ü", "average lid"])
def test_a_category_is_a_folder_s_name_as_text(category, tmp_path):
    write(tmp_path / unicodedata.normalize("NFD", category) / "train/good/1.png")
    (entry,) = Folder(tmp_path).entries(unicodedata.normalize("NFC", category))
    assert entry.image_id == "train/good/1" and (tmp_path / entry.image_path).is_file()


def test_a_linked_category_has_the_name_of_the_link_and_its_own(tmp_path):
    write(tmp_path / "store/bottle_2024/train/good/1.png")
    (tmp_path / "photos").mkdir()
    root = tmp_path / "photos/lid"
    root.symlink_to("../store/bottle_2024")
    for category in ("lid", "bottle_2024"):
        assert [entry.image_path.as_posix() for entry in Folder(root).entries(category)] == ["train/good/1.png"]
        assert watched("folder", root, category, "train") == [root / "train"]
    assert [entry.image_path.as_posix() for entry in Folder(tmp_path / "photos").entries("lid")] == [
        "lid/train/good/1.png"
    ]
    with pytest.raises(UserError, match=r"lid: expected a folder of category 'nut', found lid, bottle_2024\.$"):
        Folder(root).entries("nut")


def test_a_root_that_is_one_category_says_what_it_passed_over(tmp_path):
    lid(tmp_path, "train/good/1.png", "test/cut/1.png", "1.png", "val/1.png")
    dataset = Folder(tmp_path / "lid")
    assert [one.path.as_posix() for one in dataset.passed_over("lid")] == ["1.png", "val/1.png"]


def test_a_data_set_below_a_hidden_folder(tmp_path):
    lid(tmp_path / ".cache/photos", "train/good/1.png")
    assert len(Folder(tmp_path / ".cache/photos").entries("lid")) == 1
    assert Folder(tmp_path / ".cache/photos").passed_over("lid") == []


def test_other_adapters_say_nothing_of_what_they_pass_over():
    class Other:
        root = Path()

        def entries(self, category: str) -> list[Entry]:
            return []

    assert passed_over_of(Other(), "lid") == []
    assert str(PassedOver(Path("lid/a\nb"), "hidden")) == r"lid/a\nb: hidden"


def test_what_a_split_is_read_from(tmp_path):
    root = lid(
        tmp_path, "train/good/1.png", "test/good/1.png", "GT/a/1.png", "masks/a/1.png", "Unlabeled/1.png", "val/1"
    )
    for adapter in ("folder", "mvtec_ad"):
        for split, names in {"train": ["train"], "test": ["test", "GT", "masks"], "unlabelled": ["Unlabeled"]}.items():
            assert watched(adapter, root, "lid", split) == [root / "lid" / name for name in names]
        assert watched(adapter, root, "nut", "train") == []
        assert watched(adapter, root / "lid", "lid", "train") == [root / "lid/train"]
    for split in ("train", "test", "unlabelled"):
        assert watched("mvtec_loco", root, "lid", split) == watched("own.py:Own", root, "lid", split) == [root / "lid"]
        assert watched("btad", root, "01", split) == watched("class_folders", root, "lid", split) == [root]
        assert watched("elpv", None, "mono", split) == watched("folder", root / "nowhere", "lid", split) == []
    (root / "BTech_Dataset_transformed/01").mkdir(parents=True)
    assert watched("btad", root, "01", "train") == [root / "BTech_Dataset_transformed/01"]
    (root / "split_csv").mkdir()
    assert watched("visa", root, "lid", "test") == [root / "lid", root / "split_csv"]


def test_the_watch_imports_nothing_heavy():
    code = (
        "import sys; from variad.datasets.adapters import watched; import variad.datasets.own_folder;"
        "sys.exit(len({'torch', 'pandas', 'h5py'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# from here on: drawn mixtures, whose every file is made together with what must become of it
GOOD_NAMES = ["good", "ok", "OK", "Normal", "pass", "defect-free", "No_Defect", "nominal"]
DEFECT_NAMES = ["scratch", "NG", "bent wire", "Riß", "sc#ratch %41", "ko", "dent.v2"]
NESTED = st.lists(st.sampled_from(["monday", "7", "Schicht früh", "a.b", "linse"]), max_size=2).map(tuple)
STEMS = st.sampled_from(["1", "020", "a b", "ü", "x{y}#", "part_gt_3", "new\u2028line", "z" * 200, "-dash"])
WORDS = st.sampled_from(["_mask", "-mask", "_gt", "_label", "_labels", "_seg", "_masks", ".mask", "_MASK", "_mask_0"])
FORMS = st.sampled_from(["NFC", "NFD"])
SUFFIXES = st.sampled_from([".png", ".JPG", ".tif", ".bmp", ".webp"])
PLACES = st.sampled_from(["", "ground_truth", "gt", "Masks", "beside", "beside/masks"])
JUNK = [
    *("notes.txt", ".hidden.png", "1.png", "val/1.png", ".cache/1.png", "train/1.png", "test/1.png", "train/ng/1.png"),
    *("train/good/.a/1.png", "test/good/Thumbs.db", "test/good/@eaDir/1.png", "unlabelled/1.gif", "masks/readme"),
    *("ground_truth/nothing/1_mask.png", "test/scratch/orphan_mask.png", "unlabelled/orphan-gt.png"),
]


@st.composite
def mixtures(draw):
    """Files by path: what an image becomes (image_id, label, mask), ``mask``, or ``passed``."""
    found: dict[str, object] = {"train/good/first.png": ("train/good/first", 0, None)}
    found |= dict.fromkeys(draw(st.lists(st.sampled_from(JUNK), max_size=6)), "passed")
    names = set()
    for _ in range(draw(st.integers(1, 8))):
        split = draw(st.sampled_from(["train", "test", "test", "unlabelled"]))
        kinds = {"train": GOOD_NAMES, "test": GOOD_NAMES + DEFECT_NAMES, "unlabelled": [""]}[split]
        top, nested, stem = draw(st.sampled_from(kinds)), draw(NESTED), draw(STEMS)
        dirs = [name for name in (top, *nested) if name]
        image_id = unicodedata.normalize("NFC", "/".join([split, *dirs, stem]))
        if image_id.casefold() in names:
            continue
        names.add(image_id.casefold())
        label = None if split == "unlabelled" else int(top in DEFECT_NAMES)
        image = form(draw, f"{'/'.join([split, *dirs])}/{stem}") + draw(SUFFIXES)
        place = draw(PLACES)
        mask = None
        if place and (split == "test" or place.startswith("beside")):
            beside, below = place.startswith("beside"), place.removeprefix("beside").strip("/")
            within = "/".join(part for part in ([split, *dirs, below] if beside else [place, *dirs]) if part)
            word = draw(WORDS) if place == "beside" else draw(WORDS | st.just(""))
            mask = form(draw, f"{within}/{stem}{word}") + draw(SUFFIXES)
            found[mask] = "mask" if label == 1 else "passed"
        found[image] = (image_id, label, mask if label == 1 else None)
    return found


def form(draw, path: str) -> str:
    # folders keep one form, so that those of one name are one folder
    folder, _, name = path.rpartition("/")
    return f"{folder}/{unicodedata.normalize(draw(FORMS), name)}"


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_every_file_of_a_mixture_is_an_image_a_mask_or_passed_over(files):
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "lid"
        for name in files:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).touch()
        dataset = Folder(Path(folder))
        entries, passed = dataset.entries("lid"), [one.path for one in dataset.passed_over("lid")]
        below = {path.relative_to(folder).as_posix() for path in home.rglob("*") if path.is_file()}
    images = [entry.image_path for entry in entries]
    masks = [entry.mask_path for entry in entries if entry.mask_path]
    every = [path.as_posix() for path in (*images, *masks, *passed)]
    assert sorted(every) == sorted(below)  # each once
    found = {
        path.relative_to("lid").as_posix(): what
        for paths, what in ((masks, "mask"), (passed, "passed"))
        for path in paths
    }
    for entry in entries:
        mask = entry.mask_path.relative_to("lid").as_posix() if entry.mask_path else None
        found[entry.image_path.relative_to("lid").as_posix()] = (entry.image_id, entry.label, mask)
    assert found == files
    assert len({entry.image_id for entry in entries}) == len(entries)


def test_a_mask_without_image_is_never_an_image(tmp_path):
    lid(tmp_path, "train/good/1.png", "test/cut/a_mask.png", "test/cut/b_mask.png")
    assert [entry.image_id for entry in Folder(tmp_path).entries("lid")] == ["train/good/1"]
    assert {one.reason for one in Folder(tmp_path).passed_over("lid")} == {ORPHAN}
