"""The command: rows as they come, exit statuses, and one sentence for each mistake."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.signals import heed_interrupts
from variad.core.errors import UserError
from variad.inspect import command
from variad.inspect.answers import SEEN, Answers, HeldOutScores
from variad.inspect.command import main, parser
from variad.inspect.results import COLUMNS

from .conftest import save
from .stand_in import StandIn
from .test_page import parts_of

ROOT = Path(__file__).resolve().parents[2]
OPEN = command._open


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bundle opens as the stand-in."""
    monkeypatch.setattr(command, "_open", lambda given: StandIn())


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text))}


def test_rows_as_csv(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["b.variad", "photos"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == ",".join(COLUMNS)
    found = rows(said.out)
    assert list(found) == ["photos/good.png", "photos/monday/bad.png", "photos/monday/look.png"]
    assert {path: row["answer"] for path, row in found.items()} == {
        "photos/good.png": "good", "photos/monday/bad.png": "bad", "photos/monday/look.png": "look",
    }  # fmt: skip
    bad = found["photos/monday/bad.png"]
    assert (bad["threshold"], bad["error"]) == ("0.8", "")
    assert float(bad["score"]) == pytest.approx(230 / 255)
    assert float(bad["multiple"]) == pytest.approx(230 / 255 / 0.8, rel=1e-5)
    # all of the photograph is above the threshold of regions, 0.9, as 230 / 255 = 0.902
    assert {name: bad[name] for name in ("regions", "left", "top", "width", "height", "area")} == {
        "regions": "1", "left": "0", "top": "0", "width": "60", "height": "40", "area": "2400",
    }  # fmt: skip
    assert [found["photos/good.png"][name] for name in ("regions", "left", "peak")] == ["0", "", ""]
    assert "3 photographs: 1 good, 1 to look at, 1 bad" in said.err
    assert "5 held-out photographs promise little." in said.err
    assert "Whether scores have moved cannot be told" in said.err


def test_rows_as_json_lines_have_all_regions(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["b.variad", "photos", "--format", "jsonl"]) == 0
    good, bad, look = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(bad) == [*COLUMNS, "boxes"]
    (box,) = bad["boxes"]
    assert (box["left"], box["width"], box["area"], box["peak_x"]) == (0, 60, 2400, 0)
    assert good["boxes"] == [] and good["peak"] is None and good["error"] is None
    assert look["answer"] == "look"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_name_of_any_bytes_comes_back(photographs: Path, kind: str) -> None:
    name = b'photos/a "b", \xff\r\n.png'
    os.link(b"photos/good.png", name)
    done = run(["b.variad", "photos/a*", "--format", kind])
    if kind == "csv":
        text = done.stdout.decode("utf-8", "surrogateescape")
        assert [os.fsencode(path) for path in rows(text)] == [name]
    else:
        assert os.fsencode(json.loads(done.stdout)["path"]) == name


def test_remarks_are_in_the_row_the_summary_and_on_the_page(
    photographs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Remarking(StandIn):
        def inspect_many(self, paths, batch=8):
            for found in super().inspect_many(paths, batch):
                yield replace(found, remarks=("seen before", "dark") if "monday" in found.path else ())

    monkeypatch.setattr(command, "_open", lambda given: Remarking())
    assert main(["b.variad", "photos", "--report", "page.html"]) == 0
    said = capsys.readouterr()
    remarks = {path: row["remark"] for path, row in rows(said.out).items()}
    both = "seen before; dark"
    assert remarks == {"photos/good.png": "", "photos/monday/bad.png": both, "photos/monday/look.png": both}
    assert "2 photographs (photos/monday/bad.png): seen before; dark.\n" in said.err
    assert {entry["path"]: entry["remark"] for entry in parts_of(Path("page.html"))[1]} == remarks


def test_bad_files_are_said_and_the_rest_goes_on(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/empty.png").touch()
    Path("photos/text.png").write_text("text")
    whole = Path("photos/good.png").read_bytes()
    Path("photos/half.png").write_bytes(whole[: len(whole) // 2])
    Path("photos/notes.txt").touch()
    assert main(["b.variad", "photos", "nothing.png"]) == 2
    said = capsys.readouterr()
    errors = {path: row["error"] for path, row in rows(said.out).items() if row["error"]}
    assert errors.keys() == {"photos/empty.png", "photos/text.png", "photos/half.png", "nothing.png"}
    for path, error in errors.items():
        assert error.startswith(path) and error in said.err and error.count("\n") == 0
    assert "; 4 could not be inspected" in said.err
    assert "1 file was not looked at, by the suffix no photograph: 1 .txt." in said.err


def test_fail_above(photographs: Path) -> None:
    good, look, bad = "photos/good.png", "photos/monday/look.png", "photos/monday/bad.png"
    for limit, photograph, status in [
        ("bad", bad, 3), ("bad", look, 0), ("look", bad, 3), ("look", look, 3), ("look", good, 0),
        ("0.5", look, 3), ("0.7", look, 0), ("1", bad, 0), ("0", good, 3),
    ]:  # fmt: skip
        assert main(["b.variad", photograph, "-q", "--fail-above", limit]) == status, (limit, photograph)
    assert main(["b.variad", good, bad, "nothing.png", "-q", "--fail-above", "bad"]) == 3
    assert main(["b.variad", good, "nothing.png", "-q", "--fail-above", "bad"]) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: BUNDLE"),
        (["b"], "expected PATHs, --watch FOLDER or --serve, found none of them."),
        (["b", "photos", "--watch", "photos", "--output", "o.csv"], "found several of them."),
        (["b", "photos", "--serve"], "found several of them."),
        (["b", "--serve", "--report", "p.html"], "--serve: expected no --heatmaps, --report or --fail-above"),
        (["b", "photos", "--port", "0"], "expected --host and --port with --serve"),
        (["b", "--serve", "--port", "65536"], "--port: expected a number from 0 to 65535, found 65536."),
        (["b", "--watch", "photos"], "expected --watch FOLDER and --output FILE.csv together, found one of them."),
        (
            ["b", "photos", "--output", "o.csv"],
            "expected --watch FOLDER and --output FILE.csv together, found one of them.",
        ),
        (
            ["b", "--watch", "photos", "--output", "o.csv", "--report", "p.html"],
            "--report: expected PATHs, found --watch",
        ),
        (["b", "--watch", "nowhere", "--output", "o.csv"], "nowhere: expected a folder to watch, found none."),
        (["b", "photos", "--fail-above", "good"], "expected look, bad or a share from 0 to 1, found 'good'"),
        (["b", "photos", "--fail-above", "1.5"], "expected look, bad or a share from 0 to 1, found '1.5'"),
        (["b", "photos", "--fail-above", "nan"], "expected look, bad or a share from 0 to 1, found 'nan'"),
        (["b", "photos", "--device", "gpu"], "expected cpu, cuda or cuda:N, found 'gpu'"),
        (["b", "photos", "--threads", "0"], "expected a whole number of at least 1, found '0'"),
        (["b", "photos", "--settle", "-1"], "expected seconds above 0, found '-1'"),
        (["b", "photos", "--format", "xml"], "invalid choice: 'xml'"),
        (["b", "photos", "--heatmaps", "photos/good.png"], "photos/good.png: expected a folder that can be written to"),
        (["b", "photos", "--report", "photos"], "photos: expected a file to write the page to, found a folder."),
        (["b", "nothing"], "nothing: expected a photograph or a folder of them, found nothing."),
        (["b", "empty"], "empty: expected photographs, found none."),
        (["b", "a" * 300], f"{'a' * 300}: expected a photograph or a folder of them, found nothing."),
        (
            ["b", "photos", "--heatmaps", "./photos/"],
            "--heatmaps: expected another folder than that of the photographs",
        ),
        (
            ["b", "--watch", "photos", "--output", "o.csv", "--heatmaps", "photos"],
            "--heatmaps: expected another folder than that of the photographs, found photos.",
        ),
    ],
)
def test_mistakes_are_one_sentence_with_status_1(
    photographs: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert status == 1 and said.out == ""
    assert said.err.startswith("error: ") and sentence in said.err and said.err.count("\n") == 1


def test_a_bundle_that_does_not_open_is_one_sentence(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(given: object) -> StandIn:
        raise UserError("b.variad: expected a bundle, found a text file.")

    monkeypatch.setattr(command, "_open", refuse)
    assert main(["b.variad", "photos"]) == 1
    assert capsys.readouterr().err == "error: b.variad: expected a bundle, found a text file.\n"


def test_heat_maps_are_named_after_their_photographs(photographs: Path) -> None:
    for _ in range(2):  # the second time they are there, in the folder that is inspected, and are no photographs
        assert main(["b.variad", "photos", "-q", "--heatmaps", "photos/maps"]) == 0
    written = sorted(path.relative_to("photos/maps").as_posix() for path in Path("photos/maps").rglob("*.*"))
    assert written == ["good.png.png", "monday/bad.png.png", "monday/look.png.png"]
    assert Image.open("photos/maps/good.png.png").size == (60, 40)
    save(Path("other/good.jpg"), 3)
    assert main(["b.variad", "photos/../photos/good.png", "other", "-q", "--heatmaps", "maps"]) == 0
    written = sorted(path.relative_to("maps").as_posix() for path in Path("maps").rglob("*.*"))
    assert written == ["other/good.jpg.png", "photos/good.png.png"]


def test_a_name_that_leaves_no_room_for_another_extension_is_cut(photographs: Path) -> None:
    name = f"{'x' * 250}.png"
    os.link("photos/good.png", f"photos/{name}")
    assert main(["b.variad", "photos", "--quiet", "--heatmaps", "maps"]) == 0
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    assert {path.name for path in Path("maps").iterdir()} == {"good.png.png", f"{'x' * 200}~{mark}.png", "monday"}


def test_a_pattern_does_not_find_the_heat_maps_of_the_last_time(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["b.variad", "photos/**/*.png", "--quiet", "--heatmaps", "photos/maps"]) == 0
        assert len(rows(capsys.readouterr().out)) == 3


def test_a_suffix_of_bytes_that_are_no_text_is_on_the_page(photographs: Path) -> None:
    os.link(b"photos/good.png", b"photos/notes.\xff")
    assert main(["b.variad", "photos", "--quiet", "--report", "page.html"]) == 0
    assert "by the suffix no photograph: 1 .?." in Path("page.html").read_text("utf-8")


@pytest.mark.parametrize("limit", ["bad", "0.5"])
def test_nothing_is_above_where_there_is_no_threshold(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without = SimpleNamespace(answers=Answers(HeldOutScores(*np.zeros((2, 0)), np.zeros(0, bool))))
    monkeypatch.setattr("variad.inspect.inspector.Inspector.open", lambda *given: without)
    with pytest.raises(UserError, match=r"--fail-above: expected a bundle with a threshold, found b.variad"):
        OPEN(parser().parse_args(["b.variad", "photos", "--fail-above", limit]))


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="--device: expected a GPU that torch can use, found none for 'cuda:1'"):
        OPEN(parser().parse_args(["b.variad", "photos", "--device", "cuda:1"]))


def test_the_page(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/empty.png").touch()
    assert main(["b.variad", "photos", "--report", "new/page.html"]) == 2
    assert "page: new/page.html" in capsys.readouterr().err
    about, entries = parts_of(Path("new/page.html"))
    assert [entry["path"] for entry in entries] == [
        "photos/good.png",
        "photos/monday/bad.png",
        "photos/monday/look.png",
    ]
    assert [entry["answer"] for entry in entries] == ["good", "bad", "look"]
    assert [entry["nearest"] for entry in entries] == [1, 1, 1]
    assert [one["name"] for one in about["good"]] == ["train/good/0", "train/good/1"]
    assert [one["path"] for one in about["unread"]] == ["photos/empty.png"]
    html = Path("new/page.html").read_text("utf-8")
    assert "<h1>mine/lid, inspected</h1>" in html
    assert "<p>3 photographs: 1 good, 1 to look at, 1 bad; 1 could not be inspected.</p>" in html


@pytest.mark.parametrize("more", [["--report", "page.html"], ["--heatmaps", "maps"]])
def test_a_photograph_that_is_gone_after_it_was_scored(
    photographs: Path, more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Losing(StandIn):
        def regions(self, found):
            Path(found.path).unlink()
            return []

    monkeypatch.setattr(command, "_open", lambda given: Losing())
    assert main(["b.variad", "photos/good.png", *more]) == 2
    row = rows(capsys.readouterr().out)["photos/good.png"]
    assert row["score"] == "" and "No such file or directory" in row["error"]


def test_scores_that_moved_are_said(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        save(Path(f"moved/{number}.png"), 150 + number)
    assert main(["b.variad", "moved"]) == 0
    assert "Scores have moved" in capsys.readouterr().err


def test_photographs_of_the_training_do_not_tell_that_scores_have_moved(
    photographs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(StandIn):
        def inspect_many(self, paths, batch=8):
            for found in super().inspect_many(paths, batch):
                yield replace(found, remarks=(SEEN,))

    for number in range(20):
        save(Path(f"moved/{number}.png"), 150 + number)
    monkeypatch.setattr(command, "_open", lambda given: Seen())
    assert main(["b.variad", "moved"]) == 0
    said = capsys.readouterr().err
    assert "20 photographs: 0 good, 20 to look at" in said and f"20 photographs (moved/0.png): {SEEN}." in said
    assert "Scores have moved" not in said


# A process of its own, with the stand-in: what a terminal and a shell see.
PROGRAM = """
import sys, time
from tests.inspect.stand_in import StandIn
from variad.inspect import command
class Slow(StandIn):
    def inspect_many(self, paths, batch=8):
        for found in super().inspect_many(paths, batch):
            time.sleep(float(sys.argv[1]))
            yield found
command._open = lambda given: Slow()
sys.exit(command.main(sys.argv[2:]))
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'workflow/lib'}"}


def program(arguments: list[str], pause: float = 0.0) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(pause), *arguments]


def run(arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(program(arguments), env=ENVIRONMENT, capture_output=True, check=False)


def started(arguments: list[str], pause: float = 0.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program(arguments, pause),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        preexec_fn=heed_interrupts,
    )


def test_rows_come_one_by_one_and_ctrl_c_ends_with_what_there_is(photographs: Path) -> None:
    process = started(["b.variad", "photos", "--report", "page.html"], 0.3)
    first = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert first[1].startswith(b"photos/good.png,0.2,")
    assert b"interrupted: the rest was not inspected\n1 photograph: 1 good, 0 to look at, 0 bad" in err
    assert b"Traceback" not in err
    assert [entry["path"] for entry in parts_of(Path("page.html"))[1]] == ["photos/good.png"]


def test_a_reader_that_has_enough_ends_it_quietly(photographs: Path) -> None:
    process = started(["b.variad", "photos"], 0.2)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=120) == 141


def test_a_watch_ends_by_a_signal_and_goes_on_where_it_was(photographs: Path) -> None:
    Path("b.variad").touch()
    arguments = ["b.variad", "--watch", "photos", "--output", "o.csv", "--settle", "0.05", "--heatmaps", "photos/maps"]
    process = started([*arguments, "--fail-above", "bad"])
    lines = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert b"watching photos; 0 files are in o.csv." in err and b"3 photographs: 1 good, 1 to look at, 1 bad" in err
    assert sorted(line.split(b",")[0] for line in lines[1:]) == [b"good.png", b"monday/bad.png", b"monday/look.png"]
    assert Path("photos/maps/monday/bad.png.png").is_file()
    Path("photos/new.png").write_bytes(b"no photograph")
    process = started([*arguments, "--give-up", "0.1"])
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and b"3 files are in o.csv" in err
    assert lines[1].startswith(b"new.png,,")
    assert out == b""
    assert len(Path("o.csv").read_text().splitlines()) == 5


def test_help_is_there_at_once(photographs: Path) -> None:
    code = "import sys; from variad.inspect.command import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'numpy', 'PIL', 'scipy', 'pandas'} & sys.modules.keys(), sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in (
        "--watch FOLDER",
        "--fail-above SHARE|look|bad",
        "exit status: 0 all inspected; 1",
        "columns: path, score",
    ):
        assert word in done.stdout
    assert "usage" in subprocess.check_output(
        [sys.executable, "-m", "variad.inspect", "--help"], env=ENVIRONMENT, text=True
    )
